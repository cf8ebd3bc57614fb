package relay

import (
	"net/netip"
	"strconv"

	"proxymap/relay/refusal"
	"proxymap/relay/socks"
	"proxymap/session"
)

// A client's first byte tells SOCKS from HTTP. What a SOCKS client asks for becomes the same request as that of a CONNECT, and
// from there on it is like any other: the Session API, the rules, dialling and the provider's answer are the same, and only
// the answers to the client differ.

// A socksStep is what of SOCKS a client has to say next.
type socksStep uint8

const (
	socksRequestStep socksStep = iota // what it wants; version 4 says nothing else
	socksMethodStep                   // which methods of authentication it knows
	socksLoginStep                    // its user name and password
)

// beginsSocks looks at the first bytes of a client. If they are SOCKS it goes on so, and reports that.
func (i *intake) beginsSocks(b []byte) bool {
	c := i.c
	i.greeted = true
	switch b[0] {
	case socks.V4:
		i.socks, i.socksStep = socks.V4, socksRequestStep
	case socks.V5:
		i.socks, i.socksStep = socks.V5, socksMethodStep
	default:
		return false
	}
	c.in.append(b)
	c.enter(stageSocks)
	i.readSocks()
	return true
}

// readSocks goes on with what has come of a client's SOCKS messages.
func (i *intake) readSocks() {
	c := i.c
	for c.stage == stageSocks {
		if !c.in.empty() && i.onSocksBytes() {
			continue
		}
		if c.stage != stageSocks {
			break
		}
		b := i.receive()
		if b == nil {
			break
		}
		c.in.append(b)
	}
	if c.stage == stageSocks {
		i.sendSocks()
	}
}

// onSocksBytes takes the next message. It reports whether there was one that another follows.
func (i *intake) onSocksBytes() bool {
	i.c.m = i.c.port.mapping()
	n := 0
	switch b := i.c.in.bytes(); i.socksStep {
	case socksMethodStep:
		n = i.onSocksMethods(b)
	case socksLoginStep:
		n = i.onSocksLogin(b)
	default:
		i.onSocksTarget(b)
	}
	i.c.in.skip(n)
	return n > 0
}

// onSocksMethods chooses one of the methods that b offers. It returns how many bytes of b they have, 0 if they are not
// complete or none of them will do.
func (i *intake) onSocksMethods(b []byte) int {
	c := i.c
	n, method, err := socks.ChooseMethod(b, needOf(c.m.Plan))
	if n == 0 && err == nil {
		return 0
	}
	if err != nil {
		method = socks.MethodRefused
	}
	c.toClient.unsent.append(socks.AppendMethod(nil, method))
	switch method {
	case socks.MethodLogin:
		i.socksStep = socksLoginStep
	case socks.MethodNone:
		i.socksStep = socksRequestStep
	default:
		i.endSocks(authRequired, refusal.CredentialsMissing)
		return 0
	}
	return n
}

// onSocksLogin finds out by the user name and password in b who the client is. It returns how many bytes of b they have, 0
// if they are not complete or do not let the client in.
func (i *intake) onSocksLogin(b []byte) int {
	c := i.c
	var r socks.Request
	n, err := r.ParseLogin(b)
	if n == 0 && err == nil {
		return 0
	}
	if err == nil && len(r.User)+len(r.Password) > 0 { // else it has none, and no way to say so
		c.who = c.m.Plan.NewClient(string(r.User), string(r.Password))
	}
	admitted := err == nil && c.m.Plan.Admit(c.who) == session.Admitted
	c.toClient.unsent.append(socks.AppendLogin(nil, admitted))
	if !admitted {
		i.endSocks(authInvalid, refusal.CredentialsWrong)
		return 0
	}
	i.socksStep = socksRequestStep
	return n
}

// onSocksTarget takes the request at the beginning of b, if it is complete. It is the last message.
func (i *intake) onSocksTarget(b []byte) {
	var r socks.Request
	var n int
	var err error
	if i.socks == socks.V4 {
		n, err = r.Parse4(b)
	} else {
		n, err = r.Parse5(b)
	}
	switch {
	case err != nil:
		i.c.toClient.unsent.append(socks.AppendReply(nil, i.socks, err.(*socks.Fault).Code))
		i.endSocks(headerFailed, refusal.Malformed)
	case n > 0:
		i.onSocksRequest(&r, n)
	}
}

// endSocks closes a connection whose client has been answered that it gets no further, which counts as what and as an answer
// with code.
func (i *intake) endSocks(what count, code refusal.Code) {
	i.c.l.count(what)
	i.c.port.countAnswer(code.Class())
	i.c.linger()
}

// needOf is what the credentials of SOCKS clients are to a plan.
func needOf(p *session.Plan) socks.Need {
	switch {
	case p.Admit(nil) != session.Admitted:
		return socks.Required
	case p.Ignores():
		return socks.Ignored
	}
	return socks.Welcome
}

// sendSocks sends what there is to be sent of SOCKS.
func (i *intake) sendSocks() (goesOn bool) {
	c := i.c
	if _, err := c.toClient.flush(&c.client); err != nil {
		c.abort()
		return false
	}
	return true
}

// onSocksRequest begins the exchange of a client's request, which has n bytes of what it has sent.
func (i *intake) onSocksRequest(r *socks.Request, n int) {
	c := i.c
	if !i.sendSocks() {
		return
	}
	if len(r.User) > 0 { // the user-id of version 4
		c.who = c.m.Plan.NewClient(string(r.User), "")
	}
	authority, t, err := plainAuthority(appendTarget(c.l.buf[:0], r))
	c.in.skip(n)
	if err != nil {
		c.refuseFor(refusal.UnfitName, err)
		return
	}
	c.x = c.l.newExchange(c)
	c.x.fromSocks(i.socks, authority, &t)
	c.x.route()
}

// appendTarget appends what a SOCKS request is for as an authority.
func appendTarget(b []byte, r *socks.Request) []byte {
	if r.Addr.IsValid() {
		return netip.AddrPortFrom(r.Addr.Unmap().WithZone(""), r.Port).AppendTo(b)
	}
	b = append(append(b, r.Host...), ':')
	return strconv.AppendUint(b, uint64(r.Port), 10)
}

// The replies that grant a SOCKS client its request, made once: each tunnel sends one.
var (
	socks4Grant = socks.AppendReply(nil, socks.V4, socks.Granted)
	socks5Grant = socks.AppendReply(nil, socks.V5, socks.Granted)
)

func socksGrant(version uint8) []byte {
	if version == socks.V4 {
		return socks4Grant
	}
	return socks5Grant
}
