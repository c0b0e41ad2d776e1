// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/vhost/packed_record.h"

#include "dataplane/unique_fd.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <new>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

namespace weft::dataplane::vhost {
namespace {

/// What a file of this kind begins with; the records follow.
struct alignas(64) FileHeader {
  char magic[8] = {'w', 'e', 'f', 't', 'r', 'i', 'n', 'g'};
  uint32_t version = 1;
  uint32_t n_rings = 0;
  uint32_t record_bytes = sizeof(PackedRecord);

  friend bool operator==(const FileHeader&, const FileHeader&) = default;
};

uint16_t flags_at(const PackedRing& ring, uint32_t slot) noexcept {
  return __atomic_load_n(&ring.slots[slot].flags, __ATOMIC_ACQUIRE) & kPackedLapFlags;
}

/// Whether a driver and a device that has come to `at` can have left the ring like this: what is before has been used
/// in this lap or made available since, what is next has not been used in it.
bool is_plausible(const PackedRing& ring, PackedPosition at) noexcept {
  const PackedPosition before{static_cast<uint16_t>((at.index == 0 ? ring.size : at.index) - 1),
                              at.wrap != (at.index == 0)};
  const PackedPosition lap_before{before.index, !before.wrap};
  return flags_at(ring, before.index) != lap_before.used_flags() && flags_at(ring, at.index) != at.used_flags();
}

/// Steps 2 and 3 for a step that may have been cut off. False: it does not fit the ring.
bool finish(PackedRecord& record, const PackedRing& ring, const PackedStep& step) noexcept {
  if (step.n_used > PackedRecord::kMaxUsed || record.used[0].slot != step.from.index) return false;
  for (uint16_t i = 0; i < step.n_used; ++i) {
    if (record.used[i].slot >= ring.size) return false;
  }
  const uint16_t flags = flags_at(ring, step.from.index);
  const bool is_told = ((flags & PackedDescriptor::kUsed) != 0) == step.from.wrap;
  if (!is_told) {
    if (flags != step.from.available_flags()) return false;
    write_used(ring, step.from, record.used.data(), step.n_used);
  }
  record.store({step.to, step.to, 0});
  return true;
}

[[noreturn]] void fail(const std::string& path, const char* what, int error) {
  throw std::runtime_error(fmt::format("{}: {}: {}", path, what, std::strerror(error)));
}

void* map_file(const std::string& path, size_t bytes, const FileHeader& wanted) {
  const UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.is_open()) fail(path, "cannot be opened", errno);
  FileHeader found;
  found.version = 0;
  struct stat status {};
  const bool is_ours = fstat(fd.get(), &status) == 0 && static_cast<size_t>(status.st_size) == bytes &&
                       pread(fd.get(), &found, sizeof found, 0) == sizeof found && found == wanted;
  if (!is_ours) {
    if (ftruncate(fd.get(), 0) != 0) fail(path, "cannot be cleared", errno);
    // All of it now: a store into a page for which there is no room any more would be the end.
    if (const int error = posix_fallocate(fd.get(), 0, static_cast<off_t>(bytes)); error != 0)
      fail(path, "no room", error);
    if (pwrite(fd.get(), &wanted, sizeof wanted, 0) != sizeof wanted) fail(path, "cannot be written", errno);
  }
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd.get(), 0);
  if (p == MAP_FAILED) fail(path, "cannot be mapped", errno);
  return p;
}

}  // namespace

std::optional<PackedPosition> resume(PackedRecord& record, const PackedRing& ring, uint64_t descriptors,
                                     uint16_t base) noexcept {
  if (ring.size == 0 || record.size != ring.size || record.descriptors != descriptors || record.base != base)
    return std::nullopt;
  uint32_t event;
  std::memcpy(&event, ring.device_event, sizeof event);
  if (event == 0) return std::nullopt;
  const PackedStep step = record.load();
  if (step.from.index >= ring.size || step.to.index >= ring.size) return std::nullopt;
  if (step.n_used != 0 && !finish(record, ring, step)) return std::nullopt;
  if (!is_plausible(ring, step.to)) return std::nullopt;
  return step.to;
}

void begin(PackedRecord& record, const PackedRing& ring, uint64_t descriptors, uint16_t base,
           PackedPosition position) noexcept {
  record.size = 0;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  *ring.device_event = {kPackedMark, PackedEvent::kDisable};
  record.descriptors = descriptors;
  record.base = base;
  record.store({position, position, 0});
  std::atomic_signal_fence(std::memory_order_seq_cst);
  record.size = ring.size;
}

PackedRecords::PackedRecords(std::string path, uint16_t n_rings)
    : path_(std::move(path)), bytes_(sizeof(FileHeader) + n_rings * sizeof(PackedRecord)) {
  FileHeader header;
  header.n_rings = n_rings;
  if (path_.empty()) {
    mapping_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping_ == MAP_FAILED) throw std::bad_alloc();
  } else {
    mapping_ = map_file(path_, bytes_, header);
  }
  // The records are plain data that any bytes make.
  records_ = {reinterpret_cast<PackedRecord*>(static_cast<uint8_t*>(mapping_) + sizeof header), n_rings};
}

PackedRecords::~PackedRecords() {
  const bool is_needed = std::any_of(records_.begin(), records_.end(), [](const auto& r) { return r.size != 0; });
  munmap(mapping_, bytes_);
  if (!path_.empty() && !is_needed) unlink(path_.c_str());
}

}  // namespace weft::dataplane::vhost
