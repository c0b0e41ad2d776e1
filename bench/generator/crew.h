// SPDX-License-Identifier: BSD-3-Clause
//
// All guests of a run: made, connected, and turned in one loop, so that one core plays them all. One thread.
#pragma once

#include "bench/generator/options.h"
#include "bench/generator/station.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace weft::bench {

/// What one measurement saw, over all stations.
struct Measured {
  double seconds = 0;
  uint64_t sent = 0;      // given to the switch
  uint64_t refused = 0;   // due, but the ring was full (paced)
  uint64_t late = 0;      // due, but the generator was behind (paced)
  uint64_t received = 0;  // while it sent: what a rate is made of
  uint64_t arrived = 0;   // in all, stragglers included
  uint64_t other = 0;     // frames of the switch's own
  uint64_t polls = 0, starved = 0;
  SequenceCounts sequence;
  bool is_checked = false;

  /// Share of the frames offered that did not arrive.
  [[nodiscard]] double loss() const noexcept;
  [[nodiscard]] double pps() const noexcept;
  [[nodiscard]] double starved_share() const noexcept;
  /// Paced: the generator could not offer what was asked for; one in a thousand is forgiven.
  [[nodiscard]] bool is_behind() const noexcept { return late * 1000 > sent + refused; }
};

class Crew {
 public:
  /// Guests for each socket of the options. `is_interrupted`: they kick and sleep as real ones do; else both sides
  /// poll.
  enum class Signals { polled, interrupted };
  Crew(const Options& options, Signals signals);

  /// Gives guest `i` its load; before connect().
  Station& add_station(size_t i, const Load& load);
  /// Throws Failure: kExitNobody when no switch is there in time.
  void connect();

  /// Everyone sends until each of its flows has been sent, so that the switch knows its addresses, and something came
  /// through; then `seconds` of the run itself.
  void warm_up(double seconds, bool is_one_way);
  /// Sends for `seconds`, at the pace of `pps` a sender (0: freely), then waits for the stragglers.
  Measured measure(double seconds, double pps, bool is_one_way);

  [[nodiscard]] NullGuest& guest(size_t i) { return *guests_.at(i); }
  [[nodiscard]] Station& station(size_t i) { return *stations_.at(i); }
  [[nodiscard]] size_t n_guests() const noexcept { return guests_.size(); }
  [[nodiscard]] double ticks_per_second() const noexcept { return ticks_per_second_; }
  /// Throws Failure when the switch has hung up on a guest.
  void check_connected();

 private:
  void turn_until(uint64_t end, size_t n_senders) noexcept;
  void drain() noexcept;
  [[nodiscard]] Measured counts() noexcept;
  [[nodiscard]] size_t senders(bool is_one_way) const noexcept { return is_one_way ? 1 : stations_.size(); }
  [[nodiscard]] uint64_t after(double seconds) const noexcept;

  const Options& options_;
  double ticks_per_second_;
  std::vector<std::unique_ptr<NullGuest>> guests_;
  std::vector<std::unique_ptr<Station>> stations_;
};

/// The rate and size of the options' switching load, from guest `i` to the next.
[[nodiscard]] Load switching_load(const Options& options, unsigned i);

}  // namespace weft::bench
