// SPDX-License-Identifier: BSD-3-Clause
//
// Numbers of the feature bits of virtio and virtio-net that this back end knows (virtio 1.2 §5.1.3, §6).
#pragma once

namespace weft::dataplane::vhost::feature {

inline constexpr unsigned kCsum = 0, kGuestCsum = 1, kMtu = 3, kGuestTso4 = 7, kGuestTso6 = 8, kGuestEcn = 9,
                          kHostTso4 = 11, kHostTso6 = 12, kHostEcn = 13, kMrgRxbuf = 15, kStatus = 16, kCtrlVq = 17,
                          kGuestAnnounce = 21, kMq = 22, kLogAll = 26, kAnyLayout = 27, kIndirectDesc = 28,
                          kEventIdx = 29, kProtocolFeatures = 30, kVersion1 = 32, kRingPacked = 34, kInOrder = 35;

}  // namespace weft::dataplane::vhost::feature
