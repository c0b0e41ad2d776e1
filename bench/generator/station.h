// SPDX-License-Identifier: BSD-3-Clause
//
// One guest of the generator: what it sends, how it writes it, and what it makes of what it gets. As cheap as what was
// asked for allows: frames laid out once are sent by moving an index; more flows than ring entries are patched into the
// headers when they are sent; a rewriting guest copies each frame anew; a checking one stamps and reads each. One
// thread.
#pragma once

#include "bench/generator/frames.h"
#include "bench/generator/histogram.h"
#include "bench/generator/lane.h"
#include "bench/generator/pacer.h"
#include "bench/generator/sequence.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace weft::bench {

/// What a station sends.
struct Load {
  Endpoints ends;             // of flow 0
  unsigned size = kSmallest;  // of its frames
  bool is_segmented = false;  // TCP segments for the switch or the receiver to cut
  uint32_t n_flows = 1;
  uint32_t n_macs = 1;
  bool is_new_sessions = false;  // no flow comes twice
  bool rewrites = false;         // writes each frame whole when it is sent
  bool stamps = false;           // flow, sequence number and time into each frame
};

/// How many it has at a time.
struct Limits {
  uint16_t burst = 32;       // frames written, or looked at, before they are published
  uint16_t window = 0;       // frames the switch may hold at once; 0: the whole ring
  bool is_in_order = false;  // IN_ORDER is negotiated
};

struct StationCounts {
  uint64_t sent = 0;                // given to the switch
  uint64_t received = 0;            // the generator's own frames
  uint64_t other = 0;               // what else came
  uint64_t polls = 0, starved = 0;  // looks at the send ring; those that found no room in it
};

class Station {
 public:
  /// Lays the load out over the guest's send ring. The guest must not have been connected yet.
  Station(NullGuest& guest, const Load& load, Limits limits);

  /// Sends what is due, up to a burst. `now`: ticks, looked at when it is paced.
  void send(uint64_t now) noexcept;
  /// Takes up to a burst of what has come.
  void receive() noexcept { counts_.other += (this->*receive_)(); }
  /// Sends back, headers turned round, what has come; answers ARP.
  void reflect() noexcept;
  /// Sends one frame that is not of the load; false: no room.
  bool say(const ArpFrame& frame) noexcept;
  /// Takes what has come and shows each frame to look(frame, size).
  template <class Look>
  void listen(Look&& look) noexcept {
    lane_.receive(limits_.burst, look);
  }

  void pace(double ticks_per_frame, uint64_t now) noexcept { pacer_ = Pacer(ticks_per_frame, now, lane_.n_slots()); }
  void run_freely() noexcept { pacer_ = Pacer(); }
  [[nodiscard]] const Pacer& pacer() const noexcept { return pacer_; }
  /// Sends its load to `mac` from now on.
  void aim(wire::MacAddress mac);
  /// Answers ARP requests in the midst of traffic; frames are then written anew.
  void answer_arp(wire::MacAddress mac);
  /// Where this station's frames are checked when they arrive: by the station that gets them.
  void expect_from(const Station& sender) { trackers_.resize(sender.n_flows()); }

  [[nodiscard]] uint32_t n_flows() const noexcept {
    return static_cast<uint32_t>(order_.empty() ? n_laid_out_ : order_.size());
  }
  [[nodiscard]] const StationCounts& counts() noexcept;
  /// Frames given to the switch that it has not taken yet.
  [[nodiscard]] uint64_t outstanding() noexcept { return (void)lane_.room(), lane_.posted() - lane_.taken(); }
  [[nodiscard]] const Histogram& latency() const noexcept { return latency_; }
  [[nodiscard]] const SequenceCounts& sequence() const noexcept { return sequence_; }
  /// Forgets latencies and sequences so far; what was sent stays known.
  void forget() noexcept;

 private:
  template <bool kRewrites, bool kPatches, bool kStamps>
  void write(uint16_t n) noexcept;
  template <bool kChecks, bool kAnswers>
  uint64_t take() noexcept;
  void check(const uint8_t* frame) noexcept;
  void choose() noexcept;
  /// The patch of the next frame; `flow` becomes its place in order_, if there is one.
  Patch next_patch(uint32_t& flow) noexcept;

  Lane lane_;
  Load load_;
  Limits limits_;
  PatchBase base_;
  Pacer pacer_;
  void (Station::*write_)(uint16_t) noexcept = nullptr;
  uint64_t (Station::*receive_)() noexcept = nullptr;

  std::vector<std::vector<uint8_t>> images_;  // what slots hold, virtio-net header first
  std::vector<uint16_t> image_of_;            // by slot: which image
  uint32_t n_laid_out_ = 0;                   // flows of which each has slots of its own
  std::vector<Patch> order_;                  // more flows than slots, in the order they are sent
  size_t at_ = 0;                             // in order_
  uint64_t session_ = 0;
  std::vector<uint32_t> numbers_;  // next sequence number of each flow sent

  wire::MacAddress own_mac_;  // answers for it
  std::vector<ArpFrame> answers_;
  bool is_answering_ = false;

  StationCounts counts_;
  std::vector<SequenceTracker> trackers_;
  SequenceCounts sequence_;
  Histogram latency_;
};

/// Flows 0 … n - 1 in an order that jumps about, each once: neighbours in time are not neighbours in a table.
[[nodiscard]] std::vector<uint32_t> scattered(uint32_t n);

}  // namespace weft::bench
