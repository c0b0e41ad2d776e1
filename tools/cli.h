// SPDX-License-Identifier: BSD-3-Clause
//
// `weft` as a function: the command line in, an exit code out. main() only calls it, and so do the tests.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace weft::tools {

/// Runs `weft` with `arguments` (without the program's name). What was asked for goes to `out`, why it could
/// not be done to `err`. Returns 0 done, 1 the switch refused, 2 wrong usage or configuration, 3 no switch to
/// talk to.
int run_cli(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);

}  // namespace weft::tools
