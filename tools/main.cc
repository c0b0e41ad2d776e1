// SPDX-License-Identifier: BSD-3-Clause
#include "tools/cli.h"

#include <iostream>

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  const int exit_code = weft::tools::run_cli({argv + 1, argv + argc}, std::cout, std::cerr);
  // A full disk or a closed pipe must not look like success.
  if (!std::cout.flush()) {
    std::cerr << "weft: cannot write the output\n";
    return exit_code == 0 ? 1 : exit_code;
  }
  return exit_code;
}
