// SPDX-License-Identifier: Apache-2.0
// The files of a container that its clients take trusted certificates from. Each is copied with the
// CA in front, to be mounted over the original. One thread.
#pragma once

#include <limits.h>
#include <stddef.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"
#include "trust/root.h"

// Where the container finds the CA alone, and everything that it trusted with the CA.
#define SG_BUNDLES_CA	  "/run/spendgate/ca.pem"
#define SG_BUNDLES_BUNDLE "/run/spendgate/bundle.pem"

// Mounts `source` of the host, read-only, over `destination` of the container (a path without
// symbolic links). Returns 0 or -errno.
typedef int (*sg_bundles_mount_fn)(void *context, const char *source, const char *destination);

struct sg_bundles {
	const char *run_directory;
	const struct sg_root *root;
	sg_bundles_mount_fn mount;
	void *context;

	// Private.
	char *ca; // PEM
	size_t ca_length;
	unsigned char *ca_der;
	int ca_der_length;
	char main_source[PATH_MAX]; // of the first PEM file that was merged; "": none
	json_t *done;		    // paths that are merged already
	size_t read_bytes;	    // of the container's files, so far
	int result;
};

// The first four fields are set and the others zero. Returns 0 or -errno with the sentence.
int sg_bundles_open(struct sg_bundles *bundles, struct sg_error *error) SG_WUNRES;
void sg_bundles_close(struct sg_bundles *bundles);

// Merges and mounts what is in the usual places of distributions, Python and Java. Merged files are
// kept in <run directory>/trust/merged by the digest of what they are made of, so that containers
// of one image share them; they hold certificates and nothing else. Returns 0 or -errno.
int sg_bundles_merge_usual(struct sg_bundles *bundles) SG_WUNRES;

// One file more. A file that is not there, or has no certificates, is left alone.
int sg_bundles_merge(struct sg_bundles *bundles, const char *path) SG_WUNRES;

// SG_BUNDLES_CA and SG_BUNDLES_BUNDLE; an image without certificates of its own gets the host's.
int sg_bundles_mount_own(struct sg_bundles *bundles) SG_WUNRES;
