# spendgated in a container, for hosts where nothing is to be installed. It watches the host, so it needs the host's namespaces:
#
#   docker build -t spendgate .
#   docker run -d --name spendgate --privileged --pid host --network host --cgroupns host --restart unless-stopped --cgroup-parent /spendgate-service \
#     -v /sys/fs/bpf:/sys/fs/bpf -v /sys/fs/cgroup:/sys/fs/cgroup -v /run/spendgate:/run/spendgate -v /var/lib/spendgate:/var/lib/spendgate \
#     -v /var/run/docker.sock:/var/run/docker.sock -v /etc/spendgate:/etc/spendgate spendgate
#   docker exec spendgate spendgate attach CONTAINER
#
# spendgate-runc has to be a program of the host: docker cp spendgate:/usr/bin/spendgate-runc /usr/local/bin/
FROM debian:12 AS build
RUN apt-get update && apt-get install -y --no-install-recommends build-essential debhelper git
WORKDIR /source
COPY . .
RUN tools/install-dependencies.sh build && git config --global --add safe.directory /source && tools/build-deb.sh

FROM debian:12
COPY --from=build /source/build/deb/spendgate_*.deb /tmp/
RUN apt-get update && apt-get install -y --no-install-recommends /tmp/spendgate_*.deb && rm -rf /tmp/*.deb /var/lib/apt/lists/*
ENTRYPOINT ["/usr/sbin/spendgated"]
