package settings

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// warned are the warnings of settings, without the ports that they name.
func warned(t *testing.T, text string) []string {
	t.Helper()
	s, err := Parse("f", []byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	var texts []string
	for _, w := range s.Warnings {
		if _, rest, ok := strings.Cut(w, " "); ok && strings.HasPrefix(w, "ports ") {
			_, w, _ = strings.Cut(rest, " ")
		}
		texts = append(texts, w)
	}
	return texts
}

// Credentials of Authentication that go nowhere are told, unless clients have to bring them.
func TestUnsentCredentialsAreToldOf(t *testing.T) {
	const to = "have credentials in Authentication that do not go to upstream a:2: SetAuthentication is false"
	const plain, own = `{"Host":"a","Port":2}`, `{"Host":"b","Port":2,"Username":"own"}`
	for _, row := range []struct {
		name, auth, servers string
		want                []string
	}{
		{"a user name", `"Username":"u"`, plain, []string{to}},
		{"a password", `"Password":"p"`, plain, []string{to}},
		{"one of two", `"Username":"u","Password":"p"`, plain + "," + own, []string{to}},
		{"an account of the server's own", `"Username":"u","Password":"p"`, own, nil},
		{"they are set", `"SetAuthentication":true,"Username":"u"`, plain, nil},
		{"they are the clients'", `"Required":true,"Verify":true,"Username":"u","Password":"p"`, plain, nil},
		{"they are the clients', with a form", `"Verify":true,"Username":"u","Provider":"iproyal"`, plain, []string{to}},
		{"parameters alone", `"UsernameParameters":[{"Name":"a","Value":"b"}]`, plain, nil},
		{"no server", `"Username":"u"`, ``, []string{"have no ProxyServers: their requests are answered 502 no-upstream"}},
	} {
		got := warned(t, `{"Listen":{"Port":1,"StickyProxyLifetime":10},"Authentication":{`+row.auth+`},"ProxyServers":{"Items":[`+row.servers+`]}}`)
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}
}
