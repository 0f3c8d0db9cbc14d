// SPDX-License-Identifier: Apache-2.0
// Agents that are stopped: cut off from every network, or frozen. Both are the kernel's doing, and
// stay as they are while processes of ours come and go.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "redirect/sockets.h"
#include "warden/agents_state.h"
#include "warden/warden.h"

static int set_frozen(const struct sg_warden_agent *agent, bool frozen, struct sg_error *error)
{
	SG_CLEANUP_CLOSE int fd = openat(agent->cgroup_fd, "cgroup.freeze", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, frozen ? "1" : "0", 1) != 1)
		return sg_error_set(
			error, -errno, "%s/cgroup.freeze: %s", agent->cgroup_path, strerror(errno));
	return 0;
}

static int freeze(const struct sg_warden_agent *agent, struct sg_error *error)
{
	int r = set_frozen(agent, true, error);

	if (r == 0)
		sg_log(SG_LOG_WARN, "frozen", "agent=%s cgroup=%s", sg_agent_name(agent),
			agent->cgroup_path);
	return r;
}

// The fence first: nothing new may connect while the connections that are there are ended. What
// can't be ended has no way for its packets.
static int cut(const struct sg_warden_agent *agent, const struct sg_channel_stop *order,
	unsigned *ret_connections, struct sg_error *error)
{
	const struct sg_warden *warden = agent->warden;
	int netns_fd = sg_namespaces_fd(&warden->namespaces, agent->netns_cookie);
	struct sg_sockets_result sockets = { 0, 0 };
	struct sg_error why = { "" };
	int r = sg_redirect_cut_agent(warden->redirect, agent->cgroup_fd, agent->id, error);

	*ret_connections = 0;
	if (r < 0)
		return r;
	if (netns_fd >= 0 && sg_sockets_end(agent->cgroup_fd, netns_fd, SG_SOCKETS_CONNECTED,
				     &sockets, &why) < 0)
		sg_log(SG_LOG_WARN, "agent_cut",
			"agent=%s id=%u reason=\"%s\" effect=\"nothing comes or goes over them\"",
			sg_agent_name(agent), agent->id, why.text);
	sg_log(SG_LOG_WARN, "agent_cut", "agent=%s id=%u who=%s connections=%u reason=\"%s\"",
		sg_agent_name(agent), agent->id, order->who, sockets.ended, order->reason);
	*ret_connections = sockets.ended;
	return 0;
}

static int resume(const struct sg_warden_agent *agent, const struct sg_channel_stop *order,
	struct sg_error *error)
{
	int r = sg_redirect_mend_agent(agent->warden->redirect, agent->cgroup_fd, agent->id, error);

	if (r == 0)
		r = set_frozen(agent, false, error);
	if (r == 0)
		sg_log(SG_LOG_INFO, "agent_resumed", "agent=%s id=%u who=%s reason=\"%s\"",
			sg_agent_name(agent), agent->id, order->who, order->reason);
	return r;
}

static int stop(struct sg_warden *warden, const struct sg_warden_agent *agent,
	const struct sg_channel_stop *order, unsigned *ret_connections, struct sg_error *error)
{
	struct sg_channel_stop done = *order;
	int r = -EINVAL;

	*ret_connections = 0;
	switch ((enum sg_channel_stop_how)order->how) {
	case SG_STOP_CUT:
		r = cut(agent, order, ret_connections, error);
		break;
	case SG_STOP_FREEZE:
		r = freeze(agent, error);
		break;
	case SG_STOP_RESUME:
		r = resume(agent, order, error);
		break;
	}
	if (r < 0)
		return r;
	done.agent_id = agent->id;
	done.connections = *ret_connections;
	sg_enforcer_tell(warden, SG_CHANNEL_STOP, &done, sizeof(done), NULL, 0);
	return 0;
}

int sg_stop_agents(struct sg_warden *warden, const struct sg_channel_stop *order,
	struct sg_stop_result *ret_result, struct sg_error *error)
{
	struct sg_stop_result result = { 0, 0 };
	int failed = 0;

	for (struct sg_warden_agent *agent = warden->agents; agent; agent = agent->next) {
		unsigned connections;
		int r;

		if (strcmp(sg_agent_name(agent), order->agent) != 0 || sg_agent_is_guard(agent))
			continue;
		r = stop(warden, agent, order, &connections, error);
		if (r < 0)
			failed = r;
		result.agents++;
		result.connections += connections;
	}
	*ret_result = result;
	if (!result.agents)
		return sg_error_set(error, -ENOENT, "there is no agent \"%s\"", order->agent);
	return failed;
}
