/* SPDX-License-Identifier: MIT */
/*
 * retry.c - waits until a server answers, by trying again with a back-off.
 *
 *	retry [-n TRIES] [-t SECONDS] [-f FIRST_MS] [-c CAP_MS] [-q] HOST PORT
 *	retry ... PATH		of a Unix socket
 *
 * exits 0 when a connection was made, 1 when it gave up: after so many tries (no limit), or
 * so many seconds (30).  For scripts that start a server and must not talk to it too soon.
 *
 * The lesson: three limits that do not know of each other.  The back-off says how long to
 * wait between two tries, and when it was enough; one bound limits a single try, which may
 * hang where a firewall drops packets; and one round all of it limits the whole, be it
 * in a try or between two.
 *
 * Which errors deserve another try is for the program to say: a server that is not there yet
 * refuses, or its socket's name is missing; but an address that is not one will never be.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xylem/xylem.h>

#define TRY_NS (5 * XYL_SEC)

struct options {
	const char *host, *port; /* or a path, and NULL */
	struct xyl_backoff_config backoff;
	int64_t patience_ns;
	bool quiet;
};

static bool is_worth_another_try(ssize_t error, bool local)
{
	switch (error) {
	case -ECONNREFUSED:
	case -ECONNRESET:
	case -ENETUNREACH:
	case -EHOSTUNREACH:
	case -ETIMEDOUT:
	case -EAGAIN: /* the resolver could not say, or a queue is full */
	case -EINTR: return true;
	case -ENOENT: return local; /* a host that does not resolve will not tomorrow */
	default: return false;
	}
}

/* ---- one try --------------------------------------------------------------------------- */

struct try_once {
	struct xyl_frame frame;
	const struct options *options;
	struct xyl_io *io;
	ssize_t n, ignored;
};

static xyl_step try_once(void *frame)
{
	struct try_once *self = frame;

	XYL_BEGIN(self)
	if (self->options->port)
		XYL_AWAIT(self->n,
			  xyl_tcp_connect(&self->io, self->options->host, self->options->port));
	else
		XYL_AWAIT(self->n, xyl_unix_connect(&self->io, self->options->host));
	if (self->io)
		XYL_AWAIT(self->ignored, xyl_close(self->io));
	XYL_END(self->n);
}

/* ---- until one succeeds ------------------------------------------------------------------ */

static void tell(const struct options *options, int tries, ssize_t error, int64_t wait_ns)
{
	if (options->quiet)
		return;
	fprintf(stderr, "retry: try %d: %s", tries, strerror((int)-error));
	if (wait_ns >= 0)
		fprintf(stderr, "; again in %.3f s", (double)wait_ns / (double)XYL_SEC);
	fputc('\n', stderr);
}

struct try_on {
	struct xyl_frame frame;
	const struct options *options;
	struct xyl_backoff *backoff;
	int tries;
	ssize_t n, waited;
};

/* The tries that it took, or the error of the last one. */
static xyl_step try_on(void *frame)
{
	struct try_on *self = frame;

	XYL_BEGIN(self)
	self->backoff = xyl_backoff_new(&self->options->backoff);
	if (!self->backoff)
		XYL_RETURN(-ENOMEM);
	for (;;) {
		XYL_AWAIT(self->n,
			  xyl_within(xyl_call(try_once, .options = self->options), TRY_NS));
		self->tries++;
		if (self->n >= 0)
			XYL_RETURN(self->tries);
		if (!is_worth_another_try(self->n, !self->options->port))
			break;
		tell(self->options, self->tries, self->n, xyl_backoff_next(self->backoff));
		XYL_AWAIT(self->waited, xyl_backoff_wait(self->backoff));
		if (self->waited == -ETIMEDOUT)
			break; /* that was the last one: what it gave is what we say */
		if (self->waited < 0)
			XYL_RETURN(self->waited);
	}
	XYL_END(self->n);
}

struct retry {
	struct xyl_frame frame;
	const struct options *options;
	ssize_t n;
};

static xyl_step retry(void *frame)
{
	struct retry *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_within(xyl_call(try_on, .options = self->options),
				      self->options->patience_ns));
	XYL_END(self->n);
}

/* ---- the command line -------------------------------------------------------------------- */

/* False: not a number, or below 0, or too many nanoseconds. */
static bool time_of(const char *text, int64_t unit_ns, int64_t *ret_ns)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= 0 && value * (double)unit_ns < 9e18))
		return false;
	*ret_ns = (int64_t)(value * (double)unit_ns);
	return true;
}

static bool tries_of(const char *text, unsigned *ret_tries)
{
	return sscanf(text, "%u", ret_tries) == 1 && *ret_tries > 0 && *text != '-';
}

static bool option_read(struct options *options, int option)
{
	switch (option) {
	case 'n': return tries_of(optarg, &options->backoff.tries);
	case 't': return time_of(optarg, XYL_SEC, &options->patience_ns);
	case 'f': return time_of(optarg, XYL_MS, &options->backoff.first_ns);
	case 'c': return time_of(optarg, XYL_MS, &options->backoff.cap_ns);
	case 'q': return options->quiet = true;
	default: return false;
	}
}

static bool options_read(struct options *options, int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "n:t:f:c:q")) != -1)
		if (!option_read(options, option))
			return false;
	if (argc - optind != 1 && argc - optind != 2)
		return false;
	options->host = argv[optind];
	options->port = argv[optind + 1];
	return true;
}

int main(int argc, char **argv)
{
	static struct options options = { .patience_ns = 30 * XYL_SEC };
	ssize_t n;

	if (!options_read(&options, argc, argv)) {
		fprintf(stderr,
			"usage: retry [-n TRIES] [-t SECONDS] [-f FIRST_MS] [-c CAP_MS] [-q] "
			"HOST PORT | PATH\n");
		return 2;
	}
	n = xyl_run(retry, .options = &options);
	if (n < 0)
		fprintf(stderr, "retry: %s%s%s: %s %s\n", options.host, options.port ? " " : "",
			options.port ? options.port : "", strerror((int)-n), xyl_runtime_why());
	else if (!options.quiet)
		printf("%s answered after %zd %s\n", options.host, n, n == 1 ? "try" : "tries");
	return n < 0;
}
