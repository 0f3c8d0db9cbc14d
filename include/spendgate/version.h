// SPDX-License-Identifier: Apache-2.0
// What the programs call themselves; debian/changelog has the same.
#ifndef SPENDGATE_VERSION_H
#define SPENDGATE_VERSION_H

#define SG_VERSION "0.1.0"

#endif
