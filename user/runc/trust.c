// SPDX-License-Identifier: Apache-2.0
#include "runc/trust.h"

#include <errno.h>
#include <string.h>

#include "runc/oci.h"
#include "trust/bundles.h"
#include "trust/root.h"
#include "trust/variables.h"

static int mount_over(void *context, const char *source, const char *destination)
{
	return sg_oci_add_mount(context, source, destination);
}

// A variable that is set names a file that is merged; one that is not gets ours.
static int set_variables(json_t *config, struct sg_bundles *bundles)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < SG_TRUST_VARIABLES; i++) {
		const struct sg_trust_variable *variable = &sg_trust_variables[i];
		const char *theirs = sg_oci_variable(config, variable->name);

		if (!theirs)
			r = sg_oci_add_variable(config, variable->name,
				variable->additive ? SG_BUNDLES_CA : SG_BUNDLES_BUNDLE);
		else if (*theirs == '/')
			r = sg_bundles_merge(bundles, theirs);
	}
	return r;
}

static int apply(json_t *config, struct sg_bundles *bundles, struct sg_error *error)
{
	int r = sg_bundles_merge_usual(bundles);

	if (r == 0)
		r = sg_bundles_mount_own(bundles);
	if (r == 0)
		r = set_variables(config, bundles);
	return r < 0 ? sg_error_set(error, r, "certificates for the container in %s/trust: %s",
			       bundles->run_directory, strerror(-r))
		     : 0;
}

int sg_runc_trust(
	json_t *config, const char *bundle, const char *run_directory, struct sg_error *error)
{
	struct sg_root root = { .fd = -1 };
	struct sg_bundles bundles = { .run_directory = run_directory,
		.root = &root,
		.mount = mount_over,
		.context = config };
	int r = sg_bundles_open(&bundles, error);

	if (r == 0)
		r = sg_root_open(config, bundle, &root, error);
	if (r == 0)
		r = apply(config, &bundles, error);
	sg_root_close(&root);
	sg_bundles_close(&bundles);
	return r;
}
