// SPDX-License-Identifier: BSD-3-Clause
//
// A guest's memory as the switch sees it: the regions its front end lent, mapped, and the translation of
// addresses. Immutable once made: the control thread makes a new one for every change and publishes it with
// the rings; workers only translate. Mappings are shared between successive tables and unmapped when the last
// one is gone.
#pragma once

#include "dataplane/vhost/fd.h"
#include "dataplane/vhost/protocol.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <tl/expected.hpp>

namespace weft::dataplane::vhost {

/// Most regions a guest may have: 8 in one table message, more by ADD_MEM_REG.
inline constexpr size_t kMaxRegions = 128;

class GuestMemory {
 public:
  struct Region {
    uint64_t guest;  // guest-physical address of its first byte
    uint64_t size;   // bytes
    uint8_t* host;   // the same byte here
    uint64_t user;   // and in the front end
  };
  using Result = tl::expected<std::shared_ptr<const GuestMemory>, std::string>;

  /// Maps `regions`, one mapping each from offset 0 of its file (hugetlbfs refuses others), and closes
  /// nothing: the descriptors stay the caller's. `gone` is set by the guard when the memory vanishes later;
  /// it must outlive all tables. Errors, in words: a region that is empty, overflows, is not page-aligned,
  /// overlaps another, or is larger than its file; too many; mmap's own. Control thread.
  static Result map(std::span<const MemoryRegion> regions, std::span<const UniqueFd> fds, std::atomic<bool>& gone);
  /// This and one more.
  [[nodiscard]] Result with(const MemoryRegion& region, const UniqueFd& fd, std::atomic<bool>& gone) const;
  /// This without the region of that guest address, user address and size; an error when there is none.
  [[nodiscard]] Result without(const MemoryRegion& region) const;

  /// Whether that region, known by guest address, user address and size, is part of it.
  [[nodiscard]] bool has(const MemoryRegion& region) const noexcept;
  [[nodiscard]] static bool is_same(const MemoryRegion& a, const MemoryRegion& b) noexcept {
    return a.guest_address == b.guest_address && a.user_address == b.user_address && a.size == b.size;
  }

  GuestMemory() = default;  // no regions
  ~GuestMemory();

  /// The region in which all of [address, address + size) of guest-physical memory lies, or nullptr.
  [[nodiscard]] const Region* find(uint64_t address, uint64_t size) const noexcept;
  /// Where `address` of the front end is here when all `size` bytes lie in one region, else nullptr.
  [[nodiscard]] uint8_t* from_user(uint64_t address, uint64_t size) const noexcept;
  /// The guest-physical address of a byte of it that is mapped at `host`, or nothing when it is none.
  [[nodiscard]] std::optional<uint64_t> to_guest(const uint8_t* host) const noexcept;
  [[nodiscard]] std::span<const Region> regions() const noexcept { return regions_; }

 private:
  class Mapping;
  tl::expected<void, std::string> add(const MemoryRegion& region, int fd, std::atomic<bool>& gone);
  [[nodiscard]] std::vector<Region>::const_iterator find(const MemoryRegion& region) const noexcept;

  std::vector<Region> regions_;                     // by guest address
  std::vector<std::shared_ptr<Mapping>> mappings_;  // in the same order
};

/// Translates guest-physical addresses for one ring, trying the region of the last hit first. Owned by one
/// worker.
class Translator {
 public:
  explicit Translator(const GuestMemory& memory) noexcept : memory_(&memory) {}
  /// Where [address, address + size) is, or nullptr when not all of it is guest memory.
  [[nodiscard]] uint8_t* operator()(uint64_t address, uint64_t size) noexcept {
    const uint64_t offset = address - last_.guest;
    if (offset < last_.size && size <= last_.size - offset) [[likely]]
      return last_.host + offset;
    const GuestMemory::Region* region = memory_->find(address, size);
    if (region == nullptr) return nullptr;
    last_ = *region;
    return last_.host + (address - last_.guest);
  }
  /// The region of the last hit; empty before the first.
  [[nodiscard]] GuestMemory::Region last() const noexcept { return last_; }
  /// And back.
  [[nodiscard]] std::optional<uint64_t> to_guest(const uint8_t* host) const noexcept { return memory_->to_guest(host); }

 private:
  GuestMemory::Region last_{};
  const GuestMemory* memory_;
};

}  // namespace weft::dataplane::vhost
