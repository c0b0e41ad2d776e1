// SPDX-License-Identifier: BSD-3-Clause
//
// Some of a burst's packets, in order: what a stage is given and what it passes on. On the stack, worker only.
#pragma once

#include "dataplane/burst.h"

#include <array>
#include <cstdint>

namespace weft::vswitch {

class Selection {
 public:
  Selection() noexcept {}  // the array stays as it is
  /// All of a burst's.
  explicit Selection(dataplane::Burst& burst) noexcept {
    uint16_t n = 0;
    for (dataplane::Packet& p : burst) packets_[n++] = &p;
    size_ = n;
  }

  /// Only those for which `keep(Packet&)` is true stay.
  template <typename Keep>
  void filter(Keep&& keep) noexcept {
    uint16_t n = 0;
    for (uint16_t i = 0, end = size_; i != end; ++i) {
      dataplane::Packet* const p = packets_[i];
      packets_[n] = p;
      if (keep(*p)) ++n;
    }
    size_ = n;
  }
  void add(dataplane::Packet& p) noexcept { packets_[size_++] = &p; }
  void clear() noexcept { size_ = 0; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] uint16_t size() const noexcept { return size_; }
  [[nodiscard]] dataplane::Packet* const* begin() const noexcept { return packets_.data(); }
  [[nodiscard]] dataplane::Packet* const* end() const noexcept { return packets_.data() + size_; }
  dataplane::Packet& operator[](uint16_t i) const noexcept { return *packets_[i]; }

 private:
  std::array<dataplane::Packet*, dataplane::kBurst> packets_;  // NOLINT: the first size_ are set
  uint16_t size_ = 0;
};

}  // namespace weft::vswitch
