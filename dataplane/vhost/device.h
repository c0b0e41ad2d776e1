// SPDX-License-Identifier: BSD-3-Clause
//
// What a front end has told us about its device: features, memory, rings; and when a ring may run. Knows no
// socket: connection.h feeds it requests, the port publishes its rings to the workers. Control thread.
//
// A request that touches running rings is handled in three steps, so that its answer is a real barrier:
//   stop(touched(request)) - wait a grace period, settle(what was stopped) - apply(request), start_ready().
#pragma once

#include "dataplane/vhost/fd.h"
#include "dataplane/vhost/memory.h"
#include "dataplane/vhost/protocol.h"
#include "dataplane/vhost/ring.h"
#include "dataplane/wire/addr.h"

#include <atomic>
#include <bitset>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

namespace weft::dataplane::vhost {

using RingSet = std::bitset<kMaxRings>;

/// Where running rings are shown to the workers. Ring 2q is what the guest receives from, 2q + 1 what it
/// sends on.
class RingHost {
 public:
  virtual ~RingHost() = default;
  /// From now on workers may use `view`; `kick_fd` is -1 when the guest is to be polled. False: the kick
  /// descriptor cannot be waited for.
  virtual bool publish(uint16_t ring, RingView& view, int kick_fd) = 0;
  /// Workers that look now find no ring; those that looked before may still use it until a grace period has
  /// passed.
  virtual void unpublish(uint16_t ring, int kick_fd) noexcept = 0;
};

/// virtio features offered to every front end, and protocol features.
extern const uint64_t kOfferedFeatures;
extern const uint64_t kOfferedProtocolFeatures;

class Device {
 public:
  /// `n_pairs` queue pairs are served; rings beyond are remembered but never run. `mtu` is the largest packet that the
  /// port's network carries; 0: any. `records` has one for each of their rings and outlives this.
  Device(uint16_t n_pairs, uint16_t mtu, int trouble_fd, RingHost& host, PackedRecords& records);
  /// Frees rings and memory; stop_all() and a grace period must lie behind.
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  /// The rings that `request` changes and that a worker may be in: stop them, wait for a grace period and
  /// settle() before apply(request). Empty: apply it at once.
  [[nodiscard]] RingSet touched(const Request& request) const;
  /// Unpublishes those of `rings` that run.
  void stop(const RingSet& rings) noexcept;
  void stop_all() noexcept { stop(running_); }
  /// Rings that were stopped and are not settled yet.
  [[nodiscard]] const RingSet& unsettled() const noexcept { return unsettled_; }
  /// A grace period has passed since `rings` were stopped: takes their positions and forgets their views. Others may
  /// have been stopped since: workers may still be in those.
  void settle(const RingSet& rings) noexcept;

  struct Answer {
    /// none: acknowledged if the front end asked. refusal: told so if it asked; it did nothing wrong, and goes on.
    enum class Kind { none, u64, vring_state, refusal } kind = Kind::none;
    uint64_t value = 0;     // of u64
    VringState state{};     // of vring_state
    std::string warning{};  // for the log, whatever the kind; empty: none
  };
  /// Carries a request out; takes what it needs of `fds`. An error, in words: the front end broke the
  /// protocol.
  tl::expected<Answer, std::string> apply(const Request& request, std::vector<UniqueFd>& fds);
  /// Starts every ring that has all it needs and interrupts each once. Returns what is wrong with rings that
  /// have all but cannot run; empty when nothing is.
  [[nodiscard]] std::string start_ready();

  /// Rings that a worker found broken since the last call; they are stopped (wait for a grace period before
  /// reuse: touched() includes them).
  [[nodiscard]] RingSet take_broken() noexcept;
  [[nodiscard]] bool memory_is_gone() const noexcept { return memory_gone_.load(std::memory_order_acquire); }

  /// Both rings of one pair at least run.
  [[nodiscard]] bool is_up() const noexcept;
  [[nodiscard]] const RingSet& running() const noexcept { return running_; }
  [[nodiscard]] uint64_t features() const noexcept { return features_; }
  [[nodiscard]] bool has_protocol_feature(uint64_t mask) const noexcept { return (protocol_features_ & mask) != 0; }
  /// Whether workers wrote to pages that the front end's log has no place for; true once a log.
  [[nodiscard]] bool take_missed() noexcept;
  /// Call descriptors replaced while their rings ran, which goes on meanwhile: a guest that moves an interrupt to
  /// another CPU does it twice. A worker may be writing to them until a grace period from now has passed.
  [[nodiscard]] std::vector<UniqueFd> take_retired() noexcept { return std::exchange(retired_, {}); }
  /// The MAC of a SEND_RARP since the last call.
  [[nodiscard]] std::optional<wire::MacAddress> take_announced() noexcept { return std::exchange(announced_, {}); }

 private:
  struct Ring {
    uint32_t size = 0;
    std::optional<VringAddress> address;
    uint16_t base = 0;          // of a split ring: where it stands
    PackedPosition position;    // of a packed one
    uint16_t told_base = 0;     // what the front end named last
    bool is_base_told = false;  // and that since the ring last ran
    bool has_kick = false;      // a descriptor, or the word that there is none
    bool is_enabled = false;
    bool is_broken = false;
    UniqueFd kick, call, error;
    std::unique_ptr<RingView> view;  // while running, and until the grace period after
  };
  using Done = tl::expected<Answer, std::string>;

  Ring& ring(uint32_t index);
  Done set_features(uint64_t features);
  Done set_file(RequestType type, const VringFile& file, std::vector<UniqueFd>& fds);
  Done set_vring(RequestType type, const VringState& state);
  Done set_memory(GuestMemory::Result memory);
  Done add_region(const MemoryRegion& region, const UniqueFd& fd);
  Done remove_region(const MemoryRegion& region);
  [[nodiscard]] std::vector<MemoryRegion>::const_iterator find_repeated(const MemoryRegion& region) const;
  Done get_vring_base(uint32_t index);
  Done set_log(const LogBase& base, const UniqueFd& fd);
  Done set_mtu(uint64_t mtu) const;
  [[nodiscard]] bool is_logged(const Ring& ring) const noexcept;
  void drop_log_if_unused() noexcept;
  [[nodiscard]] bool may_run(uint16_t index) const noexcept;
  [[nodiscard]] bool is_packed() const noexcept;
  [[nodiscard]] std::string start(uint16_t index);
  [[nodiscard]] uint8_t* at(uint64_t address, size_t size, size_t alignment) const;
  [[nodiscard]] std::string place_split(const Ring& ring, RingView& view) const;
  [[nodiscard]] std::string place_packed(Ring& ring, RingView& view, PackedRecord& record) const;
  [[nodiscard]] RingFeatures ring_features(uint16_t index) const noexcept;

  const uint16_t n_pairs_;
  const uint16_t mtu_;
  const int trouble_fd_;
  RingHost& host_;
  PackedRecords& records_;
  std::atomic<bool> memory_gone_{false};
  uint64_t features_ = 0;
  bool has_features_ = false;
  uint64_t protocol_features_ = 0;
  std::optional<wire::MacAddress> announced_;
  std::shared_ptr<const GuestMemory> memory_;
  std::vector<MemoryRegion> repeated_;   // regions of memory_, for each time they were added again
  std::shared_ptr<const DirtyLog> log_;  // while the guest migrates
  bool has_told_missed_ = false;
  std::vector<std::unique_ptr<Ring>> rings_;
  RingSet running_;                // published
  std::vector<UniqueFd> retired_;  // call descriptors out of use
  RingSet unsettled_;              // unpublished, but a worker may still be in their views
};

}  // namespace weft::dataplane::vhost
