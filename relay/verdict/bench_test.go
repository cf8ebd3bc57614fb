package verdict

import "testing"

func BenchmarkRedact(b *testing.B) {
	for name, text := range map[string]string{
		"reason": "Proxy Authentication Required",
		"body":   "Your IP address 203.0.113.7 is not in the list of allowed addresses of zone residential_1. Add it in the control panel, or use a user name and a password. Request id 4c6f72656d20697073756d.",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Redact(text, false, "customer-name-country-us-session-LZpmRqdu", "customer-name", "s3cretpassword", "customer-name-country-us-session-LZpmRqdu:s3cretpassword")
			}
		})
	}
}
