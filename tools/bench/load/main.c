// SPDX-License-Identifier: Apache-2.0
// bench-load: a TLS and HTTP/1.1 load client, one thread. It works in steps with its parent, so
// that the parent can read the proxy's CPU time right before and after the measured part:
//
//     prints "ready"                 after the warm-up, with nothing under way
//     waits for a line
//     prints one line of JSON        after the measured part, connections still open
//     waits for a line, and ends
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connection.h"

#define DRAIN_NANOSECONDS    10000000000ull
#define IDLE_AT_A_TIME	     64 // connections that are set up at the same time in --idle
#define ERRORS_TO_GIVE_UP    200
#define NANOSECONDS_A_SECOND 1e9

struct options {
	const char *address; // IPv4:port
	const char *host;
	const char *path;
	const char *body;
	const char *header; // one more request header
	unsigned connections;
	double seconds, warm_up;
	bool connection_per_request;
	bool idle;
};

static const struct option long_options[] = {
	{ "address", required_argument, NULL, 'a' },
	{ "host", required_argument, NULL, 'h' },
	{ "path", required_argument, NULL, 'p' },
	{ "body", required_argument, NULL, 'b' },
	{ "header", required_argument, NULL, 'H' },
	{ "connections", required_argument, NULL, 'c' },
	{ "seconds", required_argument, NULL, 's' },
	{ "warm-up", required_argument, NULL, 'w' },
	{ "new", no_argument, NULL, 'n' },
	{ "idle", no_argument, NULL, 'i' },
	{ 0 },
};

static void parse_option(struct options *options, int key)
{
	switch (key) {
	case 'a':
		options->address = optarg;
		break;
	case 'h':
		options->host = optarg;
		break;
	case 'p':
		options->path = optarg;
		break;
	case 'b':
		options->body = optarg;
		break;
	case 'H':
		options->header = optarg;
		break;
	case 'c':
		options->connections = (unsigned)strtoul(optarg, NULL, 10);
		break;
	case 's':
		options->seconds = strtod(optarg, NULL);
		break;
	case 'w':
		options->warm_up = strtod(optarg, NULL);
		break;
	case 'n':
		options->connection_per_request = true;
		break;
	case 'i':
		options->idle = true;
		break;
	default:
		errx(2, "usage: bench-load --address IP:PORT --body FILE [--host H] [--path P] "
			"[--header 'N: V'] [--connections N] [--seconds S] [--warm-up S] [--new | "
			"--idle]");
	}
}

static void parse_options(struct options *options, int argc, char **argv)
{
	int key;

	while ((key = getopt_long(argc, argv, "", long_options, NULL)) >= 0)
		parse_option(options, key);
	if (!options->address || !options->body || options->connections == 0)
		parse_option(options, '?');
}

static char *read_file(const char *path, size_t *ret_length)
{
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *data;

	if (fd < 0 || fstat(fd, &status) < 0)
		err(1, "%s", path);
	data = malloc((size_t)status.st_size + 1);
	if (!data || read(fd, data, (size_t)status.st_size) != status.st_size)
		err(1, "%s", path);
	close(fd);
	*ret_length = (size_t)status.st_size;
	return data;
}

static void build_request(struct load *load, const struct options *options)
{
	size_t body_length = 0;
	char *body = read_file(options->body, &body_length);
	char head[1024];
	int n = snprintf(head, sizeof(head),
		"POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
		"Authorization: Bearer sk-bench\r\nContent-Length: %zu\r\n%s%s%s\r\n",
		options->path, options->host, body_length, options->header ? options->header : "",
		options->header ? "\r\n" : "",
		options->connection_per_request ? "Connection: close\r\n" : "");

	if (n < 0 || (size_t)n >= sizeof(head))
		errx(2, "the head of the request is too long");
	load->request_length = (size_t)n + body_length;
	load->request = malloc(load->request_length);
	if (!load->request)
		err(1, "request");
	memcpy(load->request, head, (size_t)n);
	memcpy(load->request + n, body, body_length);
	free(body);
}

static void parse_address(struct load *load, const char *text)
{
	char host[64] = "";
	unsigned port = 0;

	if (sscanf(text, "%63[^:]:%u", host, &port) != 2 || port == 0 || port > 65535 ||
		inet_pton(AF_INET, host, &load->address.sin_addr) != 1)
		errx(2, "not an IPv4 address and port: %s", text);
	load->address.sin_family = AF_INET;
	load->address.sin_port = htons((uint16_t)port);
}

static void make_tls_context(struct load *load)
{
	static const unsigned char alpn[] = "\x08http/1.1";

	load->tls = SSL_CTX_new(TLS_client_method());
	if (!load->tls || SSL_CTX_set_alpn_protos(load->tls, alpn, sizeof(alpn) - 1) != 0)
		errx(1, "no TLS context");
	// Each proxy shows a leaf of a CA of its own; what is measured is the proxy's work, and who
	// signed the leaf is reported.
	SSL_CTX_set_verify(load->tls, SSL_VERIFY_NONE, NULL);
	// Every new connection is a full handshake.
	SSL_CTX_set_session_cache_mode(load->tls, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(load->tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS);
}

static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static void handle_events(struct load *load, int timeout_milliseconds)
{
	struct epoll_event events[64];
	int n = epoll_wait(load->epoll, events, 64, timeout_milliseconds);

	if (n < 0 && errno != EINTR)
		err(1, "epoll_wait");
	for (int i = 0; i < n; i++)
		connection_drive(events[i].data.ptr);
}

static bool given_up(const struct load *load)
{
	return load->errors >= ERRORS_TO_GIVE_UP;
}

// No new requests; waits for those under way.
static void drain(struct load *load)
{
	uint64_t deadline = now_nanoseconds() + DRAIN_NANOSECONDS;

	load->stopping = true;
	while (load->busy && now_nanoseconds() < deadline)
		handle_events(load, 100);
	if (load->busy)
		snprintf(
			load->last_error, sizeof(load->last_error), "%u requests hang", load->busy);
	load->errors += load->busy;
}

static void start_resting(struct load *load, struct connection *connections, unsigned count)
{
	for (unsigned i = 0; i < count && !given_up(load); i++)
		if (connections[i].state == CONNECTION_CLOSED ||
			connections[i].state == CONNECTION_IDLE)
			connection_start(&connections[i]);
}

static void run_for(
	struct load *load, struct connection *connections, unsigned count, double seconds)
{
	uint64_t deadline = now_nanoseconds() + (uint64_t)(seconds * NANOSECONDS_A_SECOND);

	load->stopping = false;
	start_resting(load, connections, count);
	while (now_nanoseconds() < deadline && !given_up(load)) {
		handle_events(load, 10);
		// Those that failed try again.
		if (load->busy < count)
			start_resting(load, connections, count);
	}
	drain(load);
}

// Sets up connections, a few at a time; each makes one request and then rests.
static void run_idle(struct load *load, struct connection *connections, unsigned count)
{
	unsigned next = 0;

	load->stopping = true;
	while (!given_up(load) && (next < count || load->busy)) {
		while (next < count && load->busy < IDLE_AT_A_TIME)
			connection_start(&connections[next++]);
		handle_events(load, 100);
	}
}

static void forget(struct load *load)
{
	load->requests = load->errors = load->connects = 0;
	load->body_bytes_least = load->body_bytes_most = 0;
	samples_clear(&load->handshake);
	samples_clear(&load->first_byte);
	samples_clear(&load->whole);
}

static void wait_for_line(void)
{
	char line[16];

	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		exit(1);
}

static void print_text(const char *name, const char *text)
{
	printf("\"%s\": \"", name);
	for (; *text; text++)
		if (*text >= ' ' && *text != '"' && *text != '\\')
			putchar(*text);
	printf("\", ");
}

static unsigned count_open(const struct connection *connections, unsigned count)
{
	unsigned open_now = 0;

	for (unsigned i = 0; i < count; i++)
		open_now += connections[i].state != CONNECTION_CLOSED;
	return open_now;
}

static void print_result(struct load *load, double seconds, unsigned open_now)
{
	printf("{\"requests\": %llu, \"requests_with_warm_up\": %llu, \"errors\": %llu, "
	       "\"connects\": %llu, \"open\": %u, "
	       "\"seconds\": %.6f, \"body_bytes_least\": %llu, \"body_bytes_most\": %llu, ",
		(unsigned long long)load->requests, (unsigned long long)load->requests_with_warm_up,
		(unsigned long long)load->errors, (unsigned long long)load->connects, open_now,
		seconds, (unsigned long long)load->body_bytes_least,
		(unsigned long long)load->body_bytes_most);
	print_text("issuer", load->issuer);
	print_text("last_error", load->last_error);
	samples_print(&load->handshake, "handshake_us");
	printf(", ");
	samples_print(&load->first_byte, "first_byte_us");
	printf(", ");
	samples_print(&load->whole, "whole_us");
	printf("}\n");
}

int main(int argc, char **argv)
{
	struct options options = { .host = "api.openai.com",
		.path = "/v1/chat/completions",
		.connections = 1,
		.seconds = 1 };
	static struct load load;
	struct connection *connections;
	uint64_t began;

	parse_options(&options, argc, argv);
	signal(SIGPIPE, SIG_IGN);
	raise_descriptor_limit();
	load.host = options.host;
	load.connection_per_request = options.connection_per_request;
	parse_address(&load, options.address);
	build_request(&load, &options);
	make_tls_context(&load);
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	connections = calloc(options.connections, sizeof(*connections));
	if (load.epoll < 0 || !connections)
		err(1, "set up");
	for (unsigned i = 0; i < options.connections; i++)
		connections[i] = (struct connection){ .load = &load, .fd = -1 };

	if (options.warm_up > 0)
		run_for(&load, connections, options.connections, options.warm_up);
	if (given_up(&load))
		errx(1, "given up in the warm-up: %s", load.last_error);
	forget(&load);
	printf("ready\n");
	wait_for_line();
	began = now_nanoseconds();
	if (options.idle)
		run_idle(&load, connections, options.connections);
	else
		run_for(&load, connections, options.connections, options.seconds);
	print_result(&load, (double)(now_nanoseconds() - began) / NANOSECONDS_A_SECOND,
		count_open(connections, options.connections));
	wait_for_line();
	for (unsigned i = 0; i < options.connections; i++)
		connection_close(&connections[i]);
	return 0;
}
