package allow

import "testing"

func TestParse(t *testing.T) {
	form := errForm.Error()
	for _, row := range []struct{ text, want, fault string }{
		{text: "192.0.2.7", want: "192.0.2.7/32"},
		{text: "10.0.0.0/8", want: "10.0.0.0/8"},
		{text: "0.0.0.0/0", want: "0.0.0.0/0"},
		{text: "::/0", want: "::/0"},
		{text: "2001:DB8::1", want: "2001:db8::1/128"},
		{text: "2001:db8::/32", want: "2001:db8::/32"},
		{text: "::ffff:10.0.0.0/104", want: "10.0.0.0/8"},
		{text: "::ffff:0:0/96", want: "0.0.0.0/0"},
		{text: "::ffff:192.0.2.7", want: "192.0.2.7/32"},

		{text: "10.1.2.3/8", fault: "names an address inside of a network: write 10.0.0.0/8 for the network, or 10.1.2.3 for the one address"},
		{text: "192.0.2.1/31", fault: "names an address inside of a network: write 192.0.2.0/31 for the network, or 192.0.2.1 for the one address"},
		{text: "0.0.0.1/0", fault: "names an address inside of a network: write 0.0.0.0/0 for the network, or 0.0.0.1 for the one address"},
		{text: "2001:db8::1/32", fault: "names an address inside of a network: write 2001:db8::/32 for the network, or 2001:db8::1 for the one address"},
		{text: "::ffff:10.1.0.0/104", fault: "names an address inside of a network: write 10.0.0.0/8 for the network, or 10.1.0.0 for the one address"},
		{text: "::ffff:10.0.0.0/80", fault: "names an address inside of a network: write ::/80 for the network, or 10.0.0.0 for the one address"},
		{text: "", fault: form},
		{text: "localhost", fault: form},
		{text: "10.0.0.0/33", fault: form},
		{text: "10.0.0.0/-1", fault: form},
		{text: "10.0.0.0/08", fault: form},
		{text: "10.0.0.0/255.0.0.0", fault: form},
		{text: "10.0.0.0/", fault: form},
		{text: "10.0.0", fault: form},
		{text: "010.0.0.1", fault: form},
		{text: "10.0.0.*", fault: form},
		{text: "10.0.0.1-10.0.0.9", fault: form},
		{text: "10.0.0.1:80", fault: form},
		{text: "[::1]", fault: form},
		{text: " 10.0.0.1", fault: form},
		{text: "fe80::1%eth0", fault: form},
		{text: "fe80::%eth0/64", fault: form},
		{text: "::/129", fault: form},
	} {
		got, err := Parse(row.text)
		if err != nil {
			if err.Error() != row.fault {
				t.Errorf("%q: fault %q; want %q", row.text, err, row.fault)
			}
			continue
		}
		if row.fault != "" || got.String() != row.want {
			t.Errorf("%q: got %s; want %s%s", row.text, got, row.want, row.fault)
		}
	}
}
