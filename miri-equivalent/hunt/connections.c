/* SPDX-License-Identifier: MIT */
/*
 * Acceptors and connectors are aborted.
 *
 * Design notes.  Each connection says its number in its first bytes, but only if connect
 * gave 0: those, and no others, must reach an acceptor, each exactly once.  A connection
 * whose connector was cut may arrive all the same; it is closed without a number.  At one
 * listener in three the queue is short, so that connects take their time, too.
 *
 * A storm is a number of connections.  After it nobody is aborted any more, and the
 * listener must hand out what it still has: from its store, or from the kernel's queue.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "miri-equivalent/hunt/hunt.h"

enum { STORM = 200, ACCEPTORS = 4, CONNECTORS = 6, ACTS = 5, BACKLOGGED = 40 };

#define BOUND_NS 40000
#define LOST_NS (2 * XYL_SEC) /* what has not come by then never will */

enum connection { UNMADE, MADE, SERVED };

struct place {
	struct xyl_io *listener;
	struct sockaddr_storage address;
	socklen_t len;
	char path[96], port[8];
	bool tcp;
	bool narrow; /* its queue is short: who connects waits */
	uint64_t storm;
	enum connection connections[STORM]; /* of this storm */
	unsigned begun, made, served;	    /* of those */
	unsigned early;			    /* served before the storm was over */
	unsigned serving;		    /* accepted, and its number not read yet */
	uint64_t nameless, cut; /* of all storms: accepted without a number; cut connects */
};

/* ---- a number and its connection -------------------------------------------------------- */

static uint64_t number_of(const struct place *place, unsigned connection)
{
	return place->storm << 32 | connection;
}

/* connect gave 0. */
static void connection_made(struct place *place, unsigned connection, int fd)
{
	uint64_t number = number_of(place, connection);
	ssize_t n;

	place->connections[connection] = MADE;
	place->made++;
	n = send(fd, &number, sizeof(number), MSG_NOSIGNAL);
	EXPECT(n == sizeof(number), "a new connection does not take 8 bytes: %s", strerror(errno));
}

static void connection_served(struct place *place, uint64_t number)
{
	unsigned connection = (unsigned)(number & UINT32_MAX);

	EXPECT(number >> 32 == place->storm && connection < place->begun,
	       "a connection said %" PRIx64 ", which is nobody's number now", number);
	EXPECT(place->connections[connection] != SERVED, "connection %u was served twice",
	       connection);
	EXPECT(place->connections[connection] == MADE, "connection %u was served, but never made",
	       connection);
	place->connections[connection] = SERVED;
	place->served++;
}

/* ---- who serves ---------------------------------------------------------------------------- */

struct serve {
	struct xyl_frame frame;
	struct place *place;
	struct xyl_io *peer;
	uint64_t number;
	ssize_t n;
};

static xyl_step serve(void *frame)
{
	struct serve *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_read_full(self->peer, &self->number, sizeof(self->number)));
	if (self->n == sizeof(self->number)) {
		connection_served(self->place, self->number);
	} else {
		EXPECT(self->n == 0 || self->n == -ECONNRESET, "a connection's number: %zd",
		       self->n);
		self->place->nameless++;
	}
	XYL_AWAIT(self->n, xyl_close(self->peer));
	self->place->serving--;
	XYL_END(self->n);
}

struct acceptor {
	struct xyl_frame frame;
	struct place *place;
	unsigned times;
	int64_t bound_ns; /* 0: none */
	struct xyl_io *peer;
	ssize_t n;
};

static void acceptor_took(struct acceptor *self)
{
	hunt_count_cut(CUT_ACCEPT, self->n);
	EXPECT(self->n == 0 || self->n == -ECANCELED || self->n == -ETIMEDOUT, "accept gave %zd",
	       self->n);
	if (self->n < 0)
		return;
	self->place->serving++;
	EXPECT(xyl_spawn(serve, .place = self->place, .peer = self->peer), "nobody to serve");
}

static xyl_pending accept_begin(struct acceptor *self)
{
	xyl_pending op = xyl_accept(self->place->listener, &self->peer);

	return self->bound_ns ? xyl_within(op, self->bound_ns) : op;
}

static xyl_step acceptor(void *frame)
{
	struct acceptor *self = frame;

	XYL_BEGIN(self)
	for (; self->times; self->times--) {
		XYL_AWAIT(self->n, accept_begin(self));
		acceptor_took(self);
		if (self->n == -ECANCELED)
			break;
	}
	XYL_END(self->n);
}

/* ---- who connects -------------------------------------------------------------------------- */

struct connector {
	struct xyl_frame frame;
	struct place *place;
	unsigned connection;
	struct xyl_io *io;
	ssize_t n;
};

static xyl_pending connect_begin(struct connector *self)
{
	if (self->place->tcp)
		return xyl_tcp_connect(&self->io, "127.0.0.1", self->place->port);
	return xyl_unix_connect(&self->io, self->place->path);
}

static xyl_step connector(void *frame)
{
	struct connector *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, connect_begin(self));
	hunt_count_cut(CUT_CONNECT, self->n);
	if (self->n == 0) {
		connection_made(self->place, self->connection, xyl_io_fd(self->io));
		XYL_AWAIT(self->n, xyl_close(self->io));
	} else {
		EXPECT(self->n == -ECANCELED, "connect gave %zd", self->n);
		self->place->cut++;
	}
	XYL_END(0);
}

/* Within a step: it lands between two operations of others. */
static void connect_at_once(struct place *place)
{
	int fd = socket(place->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&place->address, place->len) < 0)
		hunt_failed("a plain connect: %s", strerror(errno));
	connection_made(place, place->begun++, fd);
	close(fd);
}

/* ---- a storm ------------------------------------------------------------------------------- */

struct connection_hunt {
	struct xyl_frame frame;
	struct hunter hunter;
	struct place *place;
	const char *folder;
	uint64_t number;
	struct xyl_task *acceptors[ACCEPTORS], *connectors[CONNECTORS];
	struct xyl_io *peer;
	unsigned i;
	ssize_t n;
};

static bool is_free(const struct xyl_task *task)
{
	return !task || xyl_is_done(task);
}

static void acceptor_add(struct connection_hunt *self)
{
	struct hunter *hunter = &self->hunter;
	uint64_t i = hunter_roll(hunter, ACCEPTORS);
	unsigned times;
	int64_t bound_ns;

	if (!is_free(self->acceptors[i]) || (self->place->narrow && hunter_roll(hunter, 4)))
		return;
	times = 1 + (unsigned)hunter_roll(hunter, 4);
	bound_ns = hunter_bound(hunter, 5, BOUND_NS);
	self->acceptors[i] = xyl_spawn(acceptor, .place = self->place, .times = times,
				       .bound_ns = bound_ns);
	EXPECT(self->acceptors[i], "no acceptor");
}

/* A name is looked up on a thread of its own: seldom. */
static void connector_add(struct connection_hunt *self)
{
	struct place *place = self->place;
	uint64_t i = hunter_roll(&self->hunter, CONNECTORS);

	if (!is_free(self->connectors[i]) || place->begun == STORM ||
	    place->begun - place->served > BACKLOGGED)
		return;
	if (!place->narrow && hunter_roll(&self->hunter, place->tcp ? 8 : 2)) {
		connect_at_once(place);
		return;
	}
	self->connectors[i] = xyl_spawn(connector, .place = place, .connection = place->begun++);
	EXPECT(self->connectors[i], "no connector");
}

static xyl_pending storm_step(struct connection_hunt *self)
{
	for (uint64_t acts = 1 + hunter_roll(&self->hunter, ACTS); acts; acts--) {
		switch (hunter_roll(&self->hunter, 8)) {
		case 0:
		case 1: acceptor_add(self); break;
		case 2:
		case 3: connector_add(self); break;
		case 4: hunter_abort(&self->hunter, self->connectors, CONNECTORS); break;
		default: hunter_abort(&self->hunter, self->acceptors, ACCEPTORS);
		}
	}
	return xyl_yield();
}

static bool is_connecting(const struct connection_hunt *self)
{
	for (unsigned i = 0; i < CONNECTORS; i++)
		if (!is_free(self->connectors[i]))
			return true;
	return false;
}

static xyl_pending connectors_let_in(struct connection_hunt *self)
{
	acceptor_add(self);
	return xyl_yield();
}

/* The storm's last gust: no acceptor is left. */
static void acceptors_abort(struct connection_hunt *self)
{
	for (unsigned i = 0; i < ACCEPTORS; i++)
		if (!is_free(self->acceptors[i])) {
			xyl_abort(self->acceptors[i]);
			books.asked++;
		}
}

static bool storm_goes_on(const struct connection_hunt *self)
{
	return self->place->begun < STORM && self->hunter.left > 0;
}

static xyl_pending leftover_serve(struct connection_hunt *self)
{
	struct place *place = self->place;

	EXPECT(self->n == 0,
	       "storm %" PRIu64 ": of %u connections made %u were served; the next accept gave %zd",
	       place->storm, place->made, place->served, self->n);
	place->serving++;
	return xyl_call(serve, .place = place, .peer = self->peer);
}

static void storm_end(struct connection_hunt *self)
{
	struct place *place = self->place;

	books.made += place->made;
	books.served += place->early;
	books.kept += place->served - place->early;
	memset(place->connections, 0, sizeof(place->connections));
	memset(self->acceptors, 0, sizeof(self->acceptors));
	memset(self->connectors, 0, sizeof(self->connectors));
	place->begun = place->made = place->served = 0;
	place->storm++;
}

struct storm {
	struct xyl_frame frame;
	struct connection_hunt *hunt;
	unsigned i;
	ssize_t n;
};

/* Everybody is waited for, then what is left is served. */
static xyl_step storm(void *frame)
{
	struct storm *self = frame;

	XYL_BEGIN(self)
	while (storm_goes_on(self->hunt))
		XYL_AWAIT(self->n, storm_step(self->hunt));
	while (is_connecting(self->hunt))
		XYL_AWAIT(self->n, connectors_let_in(self->hunt));
	acceptors_abort(self->hunt);
	for (self->i = 0; self->i < ACCEPTORS; self->i++)
		XYL_AWAIT(self->n, xyl_join(self->hunt->acceptors[self->i]));
	while (self->hunt->place->serving)
		XYL_AWAIT(self->n, xyl_yield());
	self->hunt->place->early = self->hunt->place->served;
	XYL_END(0);
}

/* ---- before and after ------------------------------------------------------------------------ */

static void place_of_tcp(struct place *place)
{
	struct sockaddr_in *at = (struct sockaddr_in *)&place->address;

	EXPECT(xyl_tcp_listen(&place->listener, "127.0.0.1", "0") == 0, "no TCP listener");
	place->len = sizeof(*at);
	getsockname(xyl_io_fd(place->listener), (struct sockaddr *)at, &place->len);
	snprintf(place->port, sizeof(place->port), "%u", ntohs(at->sin_port));
}

static void place_of_unix(struct place *place, const char *folder, uint64_t number)
{
	struct sockaddr_un *at = (struct sockaddr_un *)&place->address;

	snprintf(place->path, sizeof(place->path), "%s/%" PRIu64, folder, number);
	EXPECT(xyl_unix_listen(&place->listener, place->path) == 0, "no listener at %s",
	       place->path);
	if (place->narrow)
		listen(xyl_io_fd(place->listener), 1);
	at->sun_family = AF_UNIX;
	memcpy(at->sun_path, place->path, sizeof(place->path));
	place->len = sizeof(*at);
}

static struct place *place_make(struct connection_hunt *self)
{
	struct place *place = xyl_new(struct place);

	EXPECT(place, "no memory");
	place->tcp = self->number % 3 == 0;
	place->narrow = self->number % 3 == 1;
	if (place->tcp)
		place_of_tcp(place);
	else
		place_of_unix(place, self->folder, self->number);
	return place;
}

static void place_account(const struct place *place)
{
	books.nameless += place->nameless;
	EXPECT(place->nameless <= place->cut,
	       "%" PRIu64 " connections without a number, but %" PRIu64 " connects were cut",
	       place->nameless, place->cut);
	if (!place->tcp)
		unlink(place->path);
}

static xyl_step connection_hunt(void *frame)
{
	struct connection_hunt *self = frame;

	XYL_BEGIN(self)
	self->place = place_make(self);
	while (self->hunter.left) {
		XYL_AWAIT(self->n, xyl_call(storm, .hunt = self));
		while (self->place->served < self->place->made) {
			XYL_AWAIT(self->n,
				  xyl_within(xyl_accept(self->place->listener, &self->peer),
					     LOST_NS));
			XYL_AWAIT(self->n, leftover_serve(self));
		}
		storm_end(self);
	}
	XYL_AWAIT(self->n, xyl_close(self->place->listener));
	place_account(self->place);
	XYL_END(0);
}

struct xyl_task *connections_spawn(struct hunter hunter, uint64_t number, const char *folder)
{
	return xyl_spawn(connection_hunt, .hunter = hunter, .number = number, .folder = folder);
}
