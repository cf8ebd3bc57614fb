package settings

import (
	"bufio"
	"io"
	"net/url"
	"strconv"
)

// WritePorts writes where the ports are, one a line, as this machine reaches them: 127.0.0.1:10201. With urls each is a
// URL, as http://127.0.0.1:10201, and has in it the credentials that clients must bring.
func (s *Settings) WritePorts(w io.Writer, urls bool) error {
	out := bufio.NewWriterSize(w, 64<<10)
	for i := range s.Config.Mappings {
		m, before := &s.Config.Mappings[i], ""
		if urls {
			before = "http://" + s.mappings[i].auth.userinfo()
		}
		before += hostOf(m) + ":"
		for port := int(m.First); port <= int(m.Last); port++ {
			_, _ = out.WriteString(before)
			_, _ = out.Write(strconv.AppendInt(out.AvailableBuffer(), int64(port), 10))
			_ = out.WriteByte('\n') // the writer keeps its first error
		}
	}
	return out.Flush()
}

// userinfo is that of a client's URL: credentials that it must bring, and the @ behind them. Where any will do, and the
// settings have none, they are any.
func (a *authSettings) userinfo() string {
	user, password := a.account.Username, a.account.Password
	switch {
	case !a.required:
		return ""
	case user == "":
		user, password = "any", "any"
	}
	return url.UserPassword(user, password).String() + "@"
}
