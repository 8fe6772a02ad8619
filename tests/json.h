/* SPDX-License-Identifier: MIT */
/*
 * json.h - a strict reader of JSON objects whose values are numbers, plain texts, true,
 * false and such objects.  No white space, no empty key, no key twice, nothing behind it.
 *
 *	struct json json = json_read("{\"a\":{\"b\":1.5}}\n");
 *
 *	CHECK(json.ok);
 *	CHECK_EQ(json_number(&json, "a.b"), 1.5);
 */
#ifndef TEST_JSON_H
#define TEST_JSON_H

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness.h"

enum { JSON_PAIRS = 128, JSON_PATH = 80 };

struct json {
	bool ok;
	size_t n;
	struct {
		char path[JSON_PATH], value[JSON_PATH];
	} pairs[JSON_PAIRS]; /* in their order; of an object "{" */
	const char *at;
	char path[JSON_PATH];
};

__attribute__((unused)) static const char *json_text(const struct json *json, const char *path)
{
	for (size_t i = 0; i < json->n; i++)
		if (strcmp(json->pairs[i].path, path) == 0)
			return json->pairs[i].value;
	return NULL;
}

__attribute__((unused)) static double json_number(const struct json *json, const char *path)
{
	const char *text = json_text(json, path);

	CHECK(text && (isdigit((unsigned char)*text) || *text == '-'));
	return strtod(text, NULL);
}

__attribute__((unused)) static uint64_t json_count(const struct json *json, const char *path)
{
	const char *text = json_text(json, path);

	CHECK(text && *text && strspn(text, "0123456789") == strlen(text));
	return strtoull(text, NULL, 10);
}

static bool json_eat(struct json *json, char c)
{
	if (*json->at != c)
		return false;
	json->at++;
	return true;
}

/* Without anything that has to be escaped. */
static bool json_quoted(struct json *json, char *ret_text)
{
	size_t len = 0;

	if (!json_eat(json, '"'))
		return false;
	while (isalnum((unsigned char)*json->at) || (*json->at && strchr("_.-", *json->at)))
		if (len + 1 < JSON_PATH)
			ret_text[len++] = *json->at++;
		else
			return false;
	ret_text[len] = '\0';
	return len > 0 && json_eat(json, '"');
}

static bool json_digits(struct json *json)
{
	const char *from = json->at;

	while (isdigit((unsigned char)*json->at))
		json->at++;
	return json->at > from;
}

static bool json_bare(struct json *json, char *ret_text)
{
	const char *from = json->at;
	size_t len;

	if (strncmp(from, "true", 4) == 0) {
		json->at += 4;
	} else if (strncmp(from, "false", 5) == 0) {
		json->at += 5;
	} else {
		json_eat(json, '-');
		if (!json_eat(json, '0') && !json_digits(json))
			return false;
		if (json_eat(json, '.') && !json_digits(json))
			return false;
	}
	len = (size_t)(json->at - from);
	if (len >= JSON_PATH)
		return false;
	memcpy(ret_text, from, len);
	ret_text[len] = '\0';
	return true;
}

static bool json_object(struct json *json);

static bool json_value(struct json *json)
{
	char *value;

	if (json->n == JSON_PAIRS || json_text(json, json->path))
		return false;
	strcpy(json->pairs[json->n].path, json->path);
	value = json->pairs[json->n++].value;
	if (*json->at == '{') {
		strcpy(value, "{");
		return json_object(json);
	}
	return *json->at == '"' ? json_quoted(json, value) : json_bare(json, value);
}

static bool json_object(struct json *json)
{
	size_t above = strlen(json->path);
	char key[JSON_PATH];

	json_eat(json, '{');
	if (json_eat(json, '}'))
		return true;
	do {
		if (!json_quoted(json, key) || !json_eat(json, ':') ||
		    above + strlen(key) + 2 > JSON_PATH)
			return false;
		if (above)
			strcat(json->path, ".");
		strcat(json->path, key);
		if (!json_value(json))
			return false;
		json->path[above] = '\0';
	} while (json_eat(json, ','));
	return json_eat(json, '}');
}

/* A line, with its end. */
__attribute__((unused)) static struct json json_read(const char *line)
{
	struct json json = { .at = line };

	json.ok = *line == '{' && json_object(&json) && strcmp(json.at, "\n") == 0;
	return json;
}

#endif
