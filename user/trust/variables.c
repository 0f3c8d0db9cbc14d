// SPDX-License-Identifier: Apache-2.0
#include "trust/variables.h"

const struct sg_trust_variable sg_trust_variables[SG_TRUST_VARIABLES] = {
	{ "NODE_EXTRA_CA_CERTS", true },
	{ "DENO_CERT", true },
	{ "SSL_CERT_FILE", false },
	{ "REQUESTS_CA_BUNDLE", false },
	{ "CURL_CA_BUNDLE", false },
	{ "GIT_SSL_CAINFO", false },
	{ "PIP_CERT", false },
	{ "AWS_CA_BUNDLE", false },
	{ "CARGO_HTTP_CAINFO", false },
	{ "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", false },
	{ "HTTPLIB2_CA_CERTS", false },
	{ "NIX_SSL_CERT_FILE", false },
	{ "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", false },
	{ "HEX_CACERTS_PATH", false },
	{ "CODEX_CA_CERTIFICATE", false },
};
