// SPDX-License-Identifier: BSD-3-Clause
//
// What a port does for a receiver that cannot take a frame as it is, and the virtio-net header before each frame: the
// cutter and the finished checksum by size, the header by whether it asks for anything.
#include "bench/generator/frames.h"
#include "dataplane/burst.h"
#include "dataplane/offload.h"
#include "dataplane/virtio_net_header.h"

#include <cstring>
#include <memory>
#include <vector>

#include <benchmark/benchmark.h>

namespace weft::dataplane {
namespace {

/// A TCP segment as it lies after rx: the first bytes in the slot, the rest where the sender has it.
class Segmented {
 public:
  explicit Segmented(unsigned size)
      : frame_(bench::make_tcp_frame({bench::mac_of(0, 0), bench::mac_of(1, 0), wire::Ipv4Address(198, 18, 0, 1),
                                      wire::Ipv4Address(198, 18, 1, 1)},
                                     size)) {
    p = &burst_->add();
    p->size = static_cast<uint32_t>(frame_.size());
    p->head_size = static_cast<uint16_t>(std::min<size_t>(frame_.size(), kHeaderCopy));
    std::memcpy(p->head, frame_.data(), p->head_size);
    payload_ = {frame_.data() + p->head_size, p->size - p->head_size};
    if (payload_.size != 0) {
      p->payload = &payload_;
      p->n_payload = 1;
    }
    p->l3 = L3::ipv4;
    p->l3_offset = 14;
    p->l4_offset = 34;
    p->l4_protocol = wire::ipproto::kTcp;
    set_offload(Gso::none);
  }
  void set_offload(Gso gso) {
    p->offload = {Checksum::partial, gso, 34, 16, static_cast<uint16_t>(gso == Gso::none ? 0 : 1448), 0};
  }
  Packet* p;

 private:
  std::vector<uint8_t> frame_;
  std::unique_ptr<Burst> burst_ = std::make_unique<Burst>();
  Segment payload_{};
};

void checksum_finished(benchmark::State& state) {
  Segmented frame(static_cast<unsigned>(state.range(0)));
  for (auto _ : state) {
    frame.set_offload(Gso::none);
    finish_checksum(*frame.p);
    benchmark::DoNotOptimize(frame.p->head);
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * state.range(0));
}
BENCHMARK(checksum_finished)->Arg(128)->Arg(1518)->Arg(32768);

/// Cuts a frame of `range(0)` bytes; items are the frames that come of it. Their payload is referred to, not copied.
template <GsoCutter::Checksums kChecksums>
void cut(benchmark::State& state) {
  Segmented frame(static_cast<unsigned>(state.range(0)));
  frame.set_offload(Gso::tcp4);
  int64_t n = 0;
  for (auto _ : state) {
    GsoCutter cutter(*frame.p, kChecksums);
    while (Packet* p = cutter.next()) {
      benchmark::DoNotOptimize(p);
      ++n;
    }
  }
  state.SetItemsProcessed(n);
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * state.range(0));
}
BENCHMARK(cut<GsoCutter::Checksums::finish>)->Name("cut_and_finish")->Arg(4096)->Arg(32768)->Arg(65000);
BENCHMARK(cut<GsoCutter::Checksums::leave_partial>)->Name("cut")->Arg(4096)->Arg(32768)->Arg(65000);

constexpr OffloadSet kAll = OffloadSet::kernel();

/// In: what the sender wrote, to what stages see. `range(0)`: whether the header asks for anything.
void header_in(benchmark::State& state) {
  Segmented frame(32768);
  VirtioNetHeader header = state.range(0) != 0 ? bench::segmentation_header(1448) : VirtioNetHeaderV1{};
  for (auto _ : state) {
    benchmark::DoNotOptimize(header);
    benchmark::DoNotOptimize(to_offload(header, kAll, *frame.p));
  }
}
BENCHMARK(header_in)->ArgName("asks")->Arg(0)->Arg(1);

/// Out: what the receiver is told.
void header_out(benchmark::State& state) {
  Segmented frame(32768);
  if (state.range(0) != 0)
    frame.set_offload(Gso::tcp4);
  else
    frame.p->offload = {};
  uint8_t to[16];
  for (auto _ : state) {
    write_header(to, sizeof(VirtioNetHeaderV1), *frame.p, kAll, 1);
    benchmark::DoNotOptimize(to);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(header_out)->ArgName("asks")->Arg(0)->Arg(1);

}  // namespace
}  // namespace weft::dataplane

BENCHMARK_MAIN();
