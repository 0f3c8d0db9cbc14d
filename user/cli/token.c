// SPDX-License-Identifier: Apache-2.0
// `spendgate token`: a token for the control API, and what the configuration keeps of it.
#include <argp.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "base/attr.h"
#include "cli/cli.h"
#include "spendgate/exit.h"

#define TOKEN_BYTES 32

static const struct argp argp = { NULL, NULL, NULL,
	"Makes a token for the control API: the principal gets the token, the configuration its "
	"hash "
	"(docs/control.md).",
	NULL, NULL, NULL };

static void to_hex(const unsigned char *bytes, size_t count, char *out)
{
	for (size_t i = 0; i < count; i++)
		sprintf(out + 2 * i, "%02x", bytes[i]);
}

int sg_cli_token(int argc, char **argv)
{
	static const char prefix[] = "sgt_";
	unsigned char secret[TOKEN_BYTES], digest[SHA256_DIGEST_LENGTH];
	char token[sizeof(prefix) + 2 * sizeof(secret)], hash[2 * sizeof(digest) + 1];

	argp_err_exit_status = SG_EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	if (RAND_bytes(secret, sizeof(secret)) != 1) {
		fprintf(stderr, "spendgate: no random bytes\n");
		return SG_EXIT_FAILED;
	}
	strcpy(token, prefix);
	to_hex(secret, sizeof(secret), token + strlen(prefix));
	SHA256((const unsigned char *)token, strlen(token), digest);
	to_hex(digest, sizeof(digest), hash);
	printf("token         %s\ntoken_sha256  %s\n", token, hash);
	OPENSSL_cleanse(secret, sizeof(secret));
	OPENSSL_cleanse(token, sizeof(token));
	return SG_EXIT_OK;
}
