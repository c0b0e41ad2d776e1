// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/burst.h"

#include <cstdlib>
#include <new>

#include <sys/mman.h>

namespace weft::dataplane {

void Burst::FreeAligned::operator()(uint8_t* p) const noexcept { std::free(p); }

Burst::Burst()
    : slots_(static_cast<uint8_t*>(std::aligned_alloc(64, size_t{kBurst} * kSlotSize))),
      segments_(std::make_unique<Segment[]>(kSegmentArena)) {
  if (!slots_) throw std::bad_alloc();
  void* p = mmap(nullptr, size_t{kBurst} * kRxBuffer, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  rx_buffers_ = static_cast<uint8_t*>(p);
}

Burst::~Burst() { munmap(rx_buffers_, size_t{kBurst} * kRxBuffer); }

}  // namespace weft::dataplane
