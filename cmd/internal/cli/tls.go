package cli

import (
	"github.com/spf13/pflag"

	"gtstore/netrpc"
)

// TLS defines the flags by which a process says who it is. The owner is whose certificate
// it needs.
func TLS(flags *pflag.FlagSet, f *netrpc.TLS, owner string) {
	flags.StringVar(&f.Cert, "tls-cert", "", "file with the certificate of "+owner+", in PEM; with it all connections have TLS 1.3, and without any none has")
	flags.StringVar(&f.Key, "tls-key", "", "file with the private key of that certificate, in PEM")
	flags.StringVar(&f.CA, "tls-ca", "", "file with the certificate of the CA of this cluster, in PEM; while one CA takes the place of another, of both")
	flags.StringVar(&f.Deny, "tls-deny", "", "file with names that are refused whatever their certificates say, one NAME or ROLE/NAME a line")
}

// CheckTLS tells which flags are missing.
func CheckTLS(f *netrpc.TLS) error {
	if *f != (netrpc.TLS{}) && (f.Cert == "" || f.Key == "" || f.CA == "") {
		return Errorf(ExitUsage, "--tls-cert, --tls-key and --tls-ca belong together: name all three files, or none")
	}
	return nil
}
