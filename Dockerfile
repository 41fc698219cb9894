# syntax=docker/dockerfile:1

# Two images from one file, for each platform that Go knows:
#
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg VERSION=0.1.0 -t …/k8s-vectordb-sync .
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg VERSION=0.1.0 --target receiver -t …/receiver .

# The compiler runs on the machine's own platform and compiles for the other: emulation would take ten times as long.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
ENV CGO_ENABLED=0 GOTOOLCHAIN=local
# Modules first, so that a change of the code alone downloads nothing.
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG TARGETOS TARGETARCH
ARG VERSION=dev
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags="-s -w -X main.version=$VERSION" \
    -o /out/ ./cmd/k8s-vectordb-sync ./cmd/receiver
# A folder that the receiver's user may write: the image below has no shell to make one.
RUN mkdir -p /out/data

# Certificates, time zones and a user, and neither shell nor package manager.
FROM gcr.io/distroless/static-debian12:nonroot AS base
# By number, so that Kubernetes can see that it is not root.
USER 65532:65532

# The reference receiver, for demos and tests.
FROM base AS receiver
COPY --from=build /out/receiver /usr/local/bin/receiver
COPY --from=build --chown=65532:65532 /out/data /data
EXPOSE 3000
ENTRYPOINT ["/usr/local/bin/receiver"]
# To all addresses, for it is alone in here.
CMD ["--listen=:3000", "--data=/data"]

# The controller: the last target, which is built unless another is named.
FROM base AS controller
ARG VERSION=dev
LABEL org.opencontainers.image.title="k8s-vectordb-sync" \
      org.opencontainers.image.description="Brings a vector database's view of a Kubernetes cluster to exactly the state of the cluster." \
      org.opencontainers.image.source="https://github.com/k8s-vectordb-sync/k8s-vectordb-sync" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION"
COPY --from=build /out/k8s-vectordb-sync /usr/local/bin/k8s-vectordb-sync
# API, metrics, probes.
EXPOSE 8082 8443 8081
ENTRYPOINT ["/usr/local/bin/k8s-vectordb-sync"]
