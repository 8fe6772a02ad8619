/* SPDX-License-Identifier: MIT */
/*
 * request.c - what http_parser leaves to its user.
 *
 * Design notes.  The parser calls back with pieces of text, cut wherever the network cut
 * them.  We keep the URL and a few headers in fixed arrays, so that a request costs the
 * same whatever it holds, and each limit has its status: 414, 431, 413.  The parser is
 * paused at the end of a request; without that it would go on into the next one.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "request.h"

static const char *const wanted[WANTED] = {
	"host", "range", "if-range", "if-modified-since", "expect",
};

static bool text_append(char *text, size_t cap, const char *at, size_t len)
{
	size_t have = strlen(text);

	if (len >= cap - have)
		return false;
	memcpy(text + have, at, len);
	text[have + len] = '\0';
	return true;
}

/* ---- callbacks: zero lets the parser go on --------------------------------------------- */

static int refuse(struct request *req, int status)
{
	req->refused = status;
	return -1;
}

static int on_begin(http_parser *parser)
{
	struct request *req = parser->data;

	req->begun = true;
	return 0;
}

static int on_url(http_parser *parser, const char *at, size_t len)
{
	struct request *req = parser->data;

	return text_append(req->url, URL_BYTES, at, len) ? 0 : refuse(req, 414);
}

static int on_name(http_parser *parser, const char *at, size_t len)
{
	struct request *req = parser->data;

	if (req->in_value)
		req->name[0] = '\0';
	req->in_value = false;
	if (!text_append(req->name, sizeof req->name, at, len))
		memcpy(req->name, "?", 2); /* longer than any that we want */
	return 0;
}

static int value_begin(struct request *req)
{
	req->in_value = true;
	for (req->which = WANTED - 1; req->which >= 0; req->which--)
		if (strcasecmp(req->name, wanted[req->which]) == 0)
			break;
	if (req->which < 0)
		return 0;
	if (req->which == HOST && (req->seen & 1U << HOST))
		return refuse(req, 400);
	req->seen |= 1U << req->which;
	return 0;
}

static int on_value(http_parser *parser, const char *at, size_t len)
{
	struct request *req = parser->data;

	if (!req->in_value && value_begin(req) != 0)
		return -1;
	if (req->which >= 0 && !text_append(req->value[req->which], VALUE_BYTES, at, len)) {
		req->value[req->which][0] = '\0'; /* longer than any that we understand */
		req->which = UNWANTED;
	}
	return 0;
}

static int on_headers(http_parser *parser)
{
	struct request *req = parser->data;

	parser->upgrade = 0; /* an offer, which one may decline by not mentioning it */
	if (parser->http_major != 1)
		return refuse(req, 505);
	if (parser->http_minor > 0 && !(req->seen & 1U << HOST))
		return refuse(req, 400);
	if ((parser->flags & F_CONTENTLENGTH) && parser->content_length > BODY_LIMIT)
		return refuse(req, 413);
	if (req->seen & 1U << EXPECT)
		return refuse(req, 417); /* the client has not sent its body yet */
	return 0;
}

/* Read and dropped: the next request begins where the body ends. */
static int on_body(http_parser *parser, const char *at, size_t len)
{
	struct request *req = parser->data;

	(void)at;
	req->body_bytes += len;
	return req->body_bytes > BODY_LIMIT ? refuse(req, 413) : 0;
}

static int on_complete(http_parser *parser)
{
	struct request *req = parser->data;

	req->complete = true;
	req->keep_alive = http_should_keep_alive(parser);
	http_parser_pause(parser, 1);
	return 0;
}

/* ---- a request ------------------------------------------------------------------------- */

void request_reset(struct request *req)
{
	memset(req, 0, offsetof(struct request, name));
	req->name[0] = req->url[0] = '\0';
	for (int i = 0; i < WANTED; i++)
		req->value[i][0] = '\0';
	http_parser_set_max_header_size(HEAD_LIMIT);
	http_parser_init(&req->parser, HTTP_REQUEST);
	req->parser.data = req;
}

size_t request_feed(struct request *req, const char *text, size_t len)
{
	static const http_parser_settings settings = {
		.on_message_begin = on_begin,
		.on_url = on_url,
		.on_header_field = on_name,
		.on_header_value = on_value,
		.on_headers_complete = on_headers,
		.on_body = on_body,
		.on_message_complete = on_complete,
	};
	size_t used = http_parser_execute(&req->parser, &settings, text, len);
	enum http_errno error = HTTP_PARSER_ERRNO(&req->parser);

	if (error != HPE_OK && error != HPE_PAUSED && !req->refused)
		req->refused = error == HPE_HEADER_OVERFLOW ? 431 : 400;
	return used;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool request_path(const struct request *req, char *ret_path)
{
	struct http_parser_url parts;
	const char *at, *end;

	http_parser_url_init(&parts);
	if (http_parser_parse_url(req->url, strlen(req->url), 0, &parts) != 0 ||
	    !(parts.field_set & 1 << UF_PATH))
		return false;
	at = req->url + parts.field_data[UF_PATH].off;
	end = at + parts.field_data[UF_PATH].len;
	while (at < end && *at == '/')
		at++;
	for (; at < end; at++) {
		int high, low;

		if (*at != '%') {
			*ret_path++ = *at;
			continue;
		}
		high = end - at > 2 ? hex_digit(at[1]) : -1;
		low = end - at > 2 ? hex_digit(at[2]) : -1;
		if (high < 0 || low < 0 || high + low == 0) /* %00 would end the name early */
			return false;
		*ret_path++ = (char)(high << 4 | low);
		at += 2;
	}
	*ret_path = '\0';
	return true;
}
