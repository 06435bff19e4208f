# One image for managers, storage nodes, commands and searches: the binary, linked statically, and
# an empty directory for data, which a user without rights owns. There is no shell in it.
#
#   docker build -t gtstore .
#
# From a clone, --version tells its revision.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags=-s -o /out/gtstore ./cmd/gtstore \
 && mkdir -m 0700 /out/data && mkdir -m 1777 /out/tmp

FROM scratch
COPY --from=build /out/gtstore /usr/local/bin/gtstore
COPY --from=build --chown=65532:65532 /out/data /var/lib/gtstore
COPY --from=build --chown=65532:65532 /out/tmp /tmp
USER 65532:65532
WORKDIR /var/lib/gtstore
VOLUME /var/lib/gtstore
ENTRYPOINT ["/usr/local/bin/gtstore"]
