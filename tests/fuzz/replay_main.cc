// SPDX-License-Identifier: BSD-3-Clause
//
// Runs a fuzz target over files and folders given on the command line, and over simple mutations of them: the part of
// fuzzing that needs no special compiler. `--mutations N` sets how many of each file (default 200); the seed is fixed,
// so a failure repeats.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Bytes = std::vector<uint8_t>;

Bytes read(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void run(const Bytes& input) {
  // An exact-size copy on the heap, so that a read past the end is a sanitizer's to see.
  const auto exact = std::make_unique<uint8_t[]>(input.size());
  if (!input.empty()) std::memcpy(exact.get(), input.data(), input.size());
  LLVMFuzzerTestOneInput(exact.get(), input.size());
}

Bytes mutate(Bytes b, std::mt19937_64& rng) {
  const auto below = [&](size_t n) { return static_cast<size_t>(rng() % n); };
  for (size_t edits = 1 + below(4); edits != 0; --edits) {
    switch (b.empty() ? 3 : below(5)) {
      case 0:
        b[below(b.size())] = static_cast<uint8_t>(rng());
        break;
      case 1:
        b[below(b.size())] ^= static_cast<uint8_t>(1u << below(8));
        break;
      case 2:
        b.resize(below(b.size() + 1));
        break;
      case 3:
        b.insert(b.begin() + static_cast<std::ptrdiff_t>(below(b.size() + 1)), static_cast<uint8_t>(rng()));
        break;
      default: {
        const size_t from = below(b.size()), n = below(b.size() - from + 1);
        const Bytes piece(b.begin() + static_cast<std::ptrdiff_t>(from),
                          b.begin() + static_cast<std::ptrdiff_t>(from + n));
        b.insert(b.begin() + static_cast<std::ptrdiff_t>(below(b.size() + 1)), piece.begin(), piece.end());
      }
    }
  }
  return b;
}

}  // namespace

int main(int argc, char** argv) {
  size_t mutations = 200, files = 0;
  std::vector<std::filesystem::path> inputs;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--mutations") == 0 && i + 1 < argc)
      mutations = std::strtoul(argv[++i], nullptr, 10);
    else if (std::filesystem::is_directory(argv[i]))
      for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) inputs.push_back(entry.path());
    else
      inputs.emplace_back(argv[i]);
  }
  std::sort(inputs.begin(), inputs.end());
  std::mt19937_64 rng(1);
  for (const auto& path : inputs) {
    if (!std::filesystem::is_regular_file(path)) continue;
    const Bytes input = read(path);
    run(input);
    for (size_t m = 0; m < mutations; ++m) run(mutate(input, rng));
    ++files;
  }
  std::printf("%zu files, %zu mutations each\n", files, mutations);
  if (files == 0) {
    std::fputs("no corpus: nothing was tested\n", stderr);
    return 1;
  }
  return 0;
}
