# Every image of this repository: one static program and nothing else. The
# program is built first, by make, so that no builder image and no BuildKit is
# needed:
#   docker build --build-arg BINARY=user-service -t shop/user-service:1.0.0 .
# There are no CA certificates: only tend calls out of the networks, to registries, and
# tend up mounts those of the machine.
FROM scratch
ARG BINARY
COPY build/bin/${BINARY} /app
USER 65532:65532
ENTRYPOINT ["/app"]
