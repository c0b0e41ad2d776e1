// SPDX-License-Identifier: BSD-3-Clause
//
// `weft bench`: hands over to weft-bench, the traffic generator, which is a program of its own because it brings what
// the command line does without.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace weft::tools {

/// Where weft-bench may lie, seen from the program `weft`: in a build directory, where `meson install` puts it, beside
/// it.
[[nodiscard]] std::vector<std::filesystem::path> bench_places(const std::filesystem::path& weft);

/// Becomes weft-bench with these arguments; does not return when that works. Throws Failure (kExitRefused) when it is
/// not installed.
[[noreturn]] void become_bench(std::span<const std::string> arguments);

/// Whether it is there to become.
[[nodiscard]] bool has_bench();

}  // namespace weft::tools
