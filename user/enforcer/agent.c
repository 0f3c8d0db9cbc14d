// SPDX-License-Identifier: Apache-2.0
#include "enforcer/agent.h"

#include <errno.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "base/address.h"
#include "enforcer/keys.h"
#include "enforcer/limits.h"
#include "enforcer/upstream_tls.h"

struct agent_entry {
	uint32_t id;
	struct sg_agent *agent; // one reference
	UT_hash_handle hh;
};

struct sg_agents {
	pthread_rwlock_t lock;
	struct sg_control *control;
	SSL_CTX *default_context;
	struct agent_entry *by_id;
};

int sg_agents_new(
	struct sg_control *control, SSL_CTX *default_context, struct sg_agents **ret_agents)
{
	struct sg_agents *agents = calloc(1, sizeof(*agents));
	int r;

	if (!agents)
		return -ENOMEM;
	r = -pthread_rwlock_init(&agents->lock, NULL);
	if (r < 0) {
		free(agents);
		return r;
	}
	agents->control = control;
	agents->default_context = default_context;
	*ret_agents = agents;
	return 0;
}

static void remove_entry(struct sg_agents *agents, struct agent_entry *entry)
{
	HASH_DEL(agents->by_id, entry);
	sg_agent_unref(entry->agent);
	free(entry);
}

struct sg_agents *sg_agents_free(struct sg_agents *agents)
{
	struct agent_entry *entry, *next;

	if (!agents)
		return NULL;
	HASH_ITER(hh, agents->by_id, entry, next)
	remove_entry(agents, entry);
	pthread_rwlock_destroy(&agents->lock);
	free(agents);
	return NULL;
}

struct sg_agent *sg_agent_unref(struct sg_agent *agent)
{
	if (agent && atomic_fetch_sub_explicit(&agent->references, 1, memory_order_acq_rel) == 1) {
		SSL_CTX_free(agent->upstream_context);
		free(agent->origins);
		sg_keys_free(agent->keys);
		json_decref(agent->pass_hosts);
		sg_agent_load_unref(agent->load);
		free(agent);
	}
	return NULL;
}

bool sg_agent_may_pass(
	const struct sg_agent *agent, const char *host, const uint8_t address[16], uint16_t port)
{
	char place[64];

	if (!agent->pass_hosts)
		return true;
	if (!*host) {
		sg_address_format(address, port, place, sizeof(place));
		host = place;
	}
	for (size_t i = 0; i < json_array_size(agent->pass_hosts); i++)
		if (fnmatch(json_string_value(json_array_get(agent->pass_hosts, i)), host,
			    FNM_CASEFOLD) == 0)
			return true;
	return false;
}

struct sg_agent *sg_agents_get(struct sg_agents *agents, uint32_t id)
{
	struct agent_entry *entry;
	struct sg_agent *agent = NULL;

	pthread_rwlock_rdlock(&agents->lock);
	HASH_FIND(hh, agents->by_id, &id, sizeof(id), entry);
	if (entry) {
		agent = entry->agent;
		atomic_fetch_add_explicit(&agent->references, 1, memory_order_relaxed);
	}
	pthread_rwlock_unlock(&agents->lock);
	return agent;
}

struct sg_agent *sg_agent_renew(struct sg_agents *agents, struct sg_agent *agent)
{
	struct sg_agent *now;

	if (!atomic_load_explicit(&agent->replaced, memory_order_acquire))
		return agent;
	now = sg_agents_get(agents, agent->id);
	if (!now)
		return agent;
	sg_agent_unref(agent);
	return now;
}

int sg_agents_each(struct sg_agents *agents, sg_agent_visit_fn visit, void *context)
{
	struct agent_entry *entry, *next;
	int r = 0;

	pthread_rwlock_rdlock(&agents->lock);
	HASH_ITER(hh, agents->by_id, entry, next)
	{
		r = visit(context, entry->agent);
		if (r < 0)
			break;
	}
	pthread_rwlock_unlock(&agents->lock);
	return r;
}

void sg_agents_remove(struct sg_agents *agents, uint32_t id)
{
	struct agent_entry *entry;

	pthread_rwlock_wrlock(&agents->lock);
	HASH_FIND(hh, agents->by_id, &id, sizeof(id), entry);
	if (entry)
		remove_entry(agents, entry);
	pthread_rwlock_unlock(&agents->lock);
}

const struct sg_origin *sg_agent_origin_by_host(const struct sg_agent *agent, const char *host)
{
	for (unsigned i = 0; i < agent->origin_count; i++)
		if (strcmp(agent->origins[i].host, host) == 0)
			return &agent->origins[i];
	return NULL;
}

const struct sg_origin *sg_agent_origin_by_address(
	const struct sg_agent *agent, const uint8_t address[16], uint16_t port)
{
	for (unsigned i = 0; i < agent->origin_count; i++)
		if (agent->origins[i].port == port &&
			memcmp(agent->origins[i].address, address, 16) == 0)
			return &agent->origins[i];
	return NULL;
}

// ---- From JSON ----

static enum sg_http2 read_http2(const json_t *value, bool plain)
{
	if (json_is_false(value))
		return SG_HTTP2_NEVER;
	return plain && json_is_true(value) ? SG_HTTP2_ALWAYS : SG_HTTP2_OFFERED;
}

static int parse_origin(const json_t *item, struct sg_origin *origin, struct sg_error *error)
{
	const char *host = json_string_value(json_object_get(item, "host"));
	const char *address = json_string_value(json_object_get(item, "address"));
	const char *provider = json_string_value(json_object_get(item, "provider"));

	if (!host || strlen(host) >= sizeof(origin->host))
		return sg_error_set(error, -EINVAL, "origins: host is missing or too long");
	strcpy(origin->host, host);
	origin->plain = json_is_true(json_object_get(item, "plain"));
	origin->http2 = read_http2(json_object_get(item, "http2"), origin->plain);
	if (!address || sg_address_parse(address, origin->address, &origin->port) < 0)
		return sg_error_set(
			error, -EINVAL, "origin %s: address must be ADDRESS:PORT", host);
	origin->provider =
		provider ? sg_provider_by_name(provider) : sg_provider_by_host(host, strlen(host));
	if (!origin->provider)
		return sg_error_set(error, -EINVAL,
			"origin %s: no provider of ours has this host; name one with \"provider\"",
			host);
	return 0;
}

static int parse_origins(const json_t *list, struct sg_agent *agent, struct sg_error *error)
{
	size_t count = json_array_size(list);
	int r;

	if (!count)
		return 0;
	agent->origins = calloc(count, sizeof(*agent->origins));
	if (!agent->origins)
		return sg_error_set(error, -ENOMEM, "out of memory");
	for (size_t i = 0; i < count; i++) {
		r = parse_origin(json_array_get(list, i), &agent->origins[i], error);
		if (r < 0)
			return r;
		agent->origin_count++;
	}
	return 0;
}

static int parse_unknown_model(const char *text, struct sg_agent *agent, struct sg_error *error)
{
	static const char prefix[] = "price_as:";

	if (!text || strcmp(text, "deny") == 0) {
		agent->unknown_model = SG_UNKNOWN_DENY;
	} else if (strcmp(text, "allow") == 0) {
		agent->unknown_model = SG_UNKNOWN_ALLOW;
	} else if (strncmp(text, prefix, strlen(prefix)) == 0 &&
		   strlen(text + strlen(prefix)) < sizeof(agent->price_as)) {
		agent->unknown_model = SG_UNKNOWN_PRICE_AS;
		strcpy(agent->price_as, text + strlen(prefix));
	} else {
		return sg_error_set(error, -EINVAL,
			"unknown_model \"%s\": must be deny, allow or price_as:MODEL", text);
	}
	return 0;
}

static int parse_trust(
	const char *pem, SSL_CTX *default_context, struct sg_agent *agent, struct sg_error *error)
{
	if (pem)
		return sg_upstream_context_new(pem, &agent->upstream_context, error);
	SSL_CTX_up_ref(default_context);
	agent->upstream_context = default_context;
	return 0;
}

static int parse_agent(struct sg_agents *agents, const json_t *root, struct sg_agent *agent,
	struct sg_error *error)
{
	const json_t *budgets = json_object_get(root, "budgets");
	const char *name = json_string_value(json_object_get(root, "name"));
	const char *egress = json_string_value(json_object_get(root, "egress"));
	const char *unnamed = json_string_value(json_object_get(root, "unnamed_tls"));
	char labels[SG_LABELS_BYTES];
	int r;

	if (!name || strlen(name) >= sizeof(agent->name))
		return sg_error_set(error, -EINVAL, "agent name is missing or too long");
	strcpy(agent->name, name);
	agent->id = (uint32_t)json_integer_value(json_object_get(root, "id"));
	agent->policy_exempt = json_is_true(json_object_get(root, "policy_exempt"));
	agent->egress_host = egress && strcmp(egress, "host") == 0;
	agent->unnamed_tls = unnamed && strcmp(unnamed, "allow") == 0;
	agent->pass_hosts = json_incref(json_object_get(root, "pass_hosts"));
	agent->max_connections =
		(unsigned)json_integer_value(json_object_get(root, "max_connections"));
	if (!agent->max_connections)
		agent->max_connections = SG_MAX_CONNECTIONS;
	agent->max_body_bytes =
		(uint64_t)json_integer_value(json_object_get(root, "max_body_bytes"));
	if (!agent->max_body_bytes)
		agent->max_body_bytes = SG_AGENT_BODY_BYTES;
	agent->max_calls = (unsigned)json_integer_value(json_object_get(root, "max_calls"));
	if (!agent->max_calls)
		agent->max_calls = SG_MAX_CALLS;
	agent->load = sg_agent_load_new();
	if (!agent->load)
		return -ENOMEM;
	atomic_store(&agent->load->cut, json_is_true(json_object_get(root, "cut")));
	r = parse_unknown_model(
		json_string_value(json_object_get(root, "unknown_model")), agent, error);
	if (r == 0)
		r = parse_origins(json_object_get(root, "origins"), agent, error);
	if (r == 0)
		r = parse_trust(json_string_value(json_object_get(root, "upstream_ca")),
			agents->default_context, agent, error);
	if (r == 0)
		r = sg_keys_parse(json_object_get(root, "keys"), &agent->keys, error);
	if (r == 0)
		r = sg_labels_parse(json_object_get(root, "labels"),
			json_string_value(json_object_get(root, "team")), labels, sizeof(labels),
			error);
	if (r < 0)
		return r;
	return sg_control_register(
		agents->control, agent->name, labels, budgets, &agent->account, error);
}

static int put(struct sg_agents *agents, struct sg_agent *agent)
{
	struct agent_entry *entry;
	int r = 0;

	pthread_rwlock_wrlock(&agents->lock);
	HASH_FIND(hh, agents->by_id, &agent->id, sizeof(agent->id), entry);
	if (entry) {
		atomic_store(&entry->agent->load->cut, atomic_load(&agent->load->cut));
		sg_agent_load_unref(agent->load);
		agent->load = sg_agent_load_ref(entry->agent->load);
		atomic_store_explicit(&entry->agent->replaced, true, memory_order_release);
		sg_agent_unref(entry->agent);
		entry->agent = agent;
	} else if ((entry = calloc(1, sizeof(*entry)))) {
		entry->id = agent->id;
		entry->agent = agent;
		HASH_ADD(hh, agents->by_id, id, sizeof(entry->id), entry);
	} else {
		r = -ENOMEM;
	}
	pthread_rwlock_unlock(&agents->lock);
	return r;
}

int sg_agents_set(struct sg_agents *agents, const char *json, size_t length, struct sg_error *error)
{
	json_error_t where;
	json_t *root = json_loadb(json, length, JSON_REJECT_DUPLICATES, &where);
	struct sg_agent *agent = calloc(1, sizeof(*agent));
	int r = -ENOMEM;

	if (!root)
		r = sg_error_set(error, -EINVAL, "agent: %s", where.text);
	else if (agent) {
		atomic_store(&agent->references, 1);
		r = parse_agent(agents, root, agent, error);
	}
	if (r == 0)
		r = put(agents, agent);
	if (r < 0 && agent)
		sg_agent_unref(agent);
	json_decref(root);
	return r;
}
