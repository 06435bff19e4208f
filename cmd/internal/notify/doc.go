// Package notify tells systemd that a service is ready, and that it is stopping: one datagram on
// the socket that NOTIFY_SOCKET names, as sd_notify(3) describes it. That is all that a unit with
// Type=notify needs, so there is no library for it.
package notify
