// Package identitytest makes CAs and certificates for tests.
package identitytest
