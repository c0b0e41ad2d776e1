// SPDX-License-Identifier: BSD-3-Clause
#include "tools/bench.h"

#include "tools/client.h"

#include <cerrno>
#include <cstring>
#include <system_error>

#include <fmt/format.h>

#include <unistd.h>

namespace weft::tools {

namespace fs = std::filesystem;

namespace {

std::vector<fs::path> places_of_this() {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  return bench_places(error ? fs::path("/usr/bin/weft") : self);
}

std::optional<fs::path> find_bench() {
  for (const fs::path& place : places_of_this())
    if (access(place.c_str(), X_OK) == 0) return place;
  return std::nullopt;
}

}  // namespace

std::vector<fs::path> bench_places(const fs::path& weft) {
  const fs::path here = weft.parent_path();
  return {here.parent_path() / "bench" / "generator" / "weft-bench",
          here.parent_path() / "libexec" / "weft" / "weft-bench", here / "weft-bench"};
}

bool has_bench() { return find_bench().has_value(); }

void become_bench(std::span<const std::string> arguments) {
  const auto program = find_bench();
  if (!program) {
    std::string looked;
    for (const fs::path& place : places_of_this()) looked += (looked.empty() ? "" : ", ") + place.string();
    throw Failure(kExitRefused, fmt::format("weft-bench is not installed (looked for {})", looked));
  }
  std::vector<std::string> words{program->string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  execv(program->c_str(), argv.data());
  throw Failure(kExitRefused, fmt::format("{} cannot be run: {}", program->string(), std::strerror(errno)));
}

}  // namespace weft::tools
