# An image with the program, CA certificates, and nothing else. `make image` builds the program, stages the files, and builds
# the image. With Docker instead of buildah: `make image-files && docker build --tag scale-export .`
FROM scratch

LABEL org.opencontainers.image.title="scale-export" \
      org.opencontainers.image.description="Export Scale annotation tasks as normalized Parquet or CSV tables" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"

COPY target/image/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY target/image/scale-export /usr/local/bin/scale-export
# A new volume that is mounted here gets its owner.
COPY --chown=10001:10001 target/image/data /data

USER 10001:10001
WORKDIR /data
ENTRYPOINT ["/usr/local/bin/scale-export"]
CMD ["--help"]
