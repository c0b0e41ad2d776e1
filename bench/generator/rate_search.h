// SPDX-License-Identifier: BSD-3-Clause
//
// RFC 2544 §26.1: the highest rate at which no more than a given share of frames is lost, by bisection. Pure: it names
// the rate to try next and is told what was lost.
#pragma once

#include <optional>

namespace weft::bench {

class RateSearch {
 public:
  /// Rates up to `highest`; `loss` the share of frames that may be lost; done when the answer is known to within
  /// `resolution`, a share of `highest`.
  RateSearch(double highest, double loss, double resolution) noexcept
      : high_(highest), loss_(loss), step_(highest * resolution), next_(highest) {}

  /// The rate to try next; nullopt: the search is over.
  [[nodiscard]] std::optional<double> next() const noexcept { return is_over_ ? std::nullopt : std::optional(next_); }
  /// What was lost at next(): a share of the frames offered.
  void report(double lost) noexcept {
    if (lost <= loss_) {
      best_ = next_;
      // The highest itself has passed: there is nothing above it.
      is_over_ = next_ >= high_;
    } else {
      high_ = next_;
    }
    if (high_ - best_ <= step_) is_over_ = true;
    next_ = (best_ + high_) / 2;
  }
  /// The highest rate that passed; 0 when none did.
  [[nodiscard]] double best() const noexcept { return best_; }

 private:
  double high_;      // the lowest rate that failed, or the upper end
  double best_ = 0;  // the highest rate that passed
  double loss_, step_, next_;
  bool is_over_ = false;
};

}  // namespace weft::bench
