// SPDX-License-Identifier: BSD-3-Clause
//
// A folder of its own for one test, removed with it; in memory where that can be had: these tests are not about disks.
#pragma once

#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include <stdlib.h>
#include <unistd.h>

namespace weft::vswitch::test {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    const std::filesystem::path memory = "/dev/shm";
    const auto parent = access(memory.c_str(), W_OK) == 0 ? memory : std::filesystem::temp_directory_path();
    std::string name = (parent / "weft-control-XXXXXX").string();
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace weft::vswitch::test
