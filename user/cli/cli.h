// SPDX-License-Identifier: Apache-2.0
// The subcommands of `spendgate`; each gets its own argv and returns an exit code of
// spendgate/exit.h.
#pragma once

// Enters a command: its word becomes argv[0], with those before it, so that help and errors say how
// to call it ("spendgate budget set"). Once for each word, by the main thread.
char **sg_cli_descend(char **argv);

int sg_cli_run(int argc, char **argv);
int sg_cli_audit(int argc, char **argv);
int sg_cli_ledger(int argc, char **argv);
int sg_cli_report(int argc, char **argv);
int sg_cli_token(int argc, char **argv);
int sg_cli_compile(int argc, char **argv);
int sg_cli_budget(int argc, char **argv);
int sg_cli_status(int argc, char **argv);
int sg_cli_reload(int argc, char **argv);
int sg_cli_price_update(int argc, char **argv); // of sg_cli_price
int sg_cli_attach(int argc, char **argv);
int sg_cli_detach(int argc, char **argv);
int sg_cli_cut(int argc, char **argv);
int sg_cli_resume(int argc, char **argv);
int sg_cli_docker(int argc, char **argv);
int sg_cli_meter(int argc, char **argv);
int sg_cli_tokens(int argc, char **argv);
int sg_cli_price(int argc, char **argv);
