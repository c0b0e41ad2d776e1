// SPDX-License-Identifier: BSD-3-Clause
//
// Random clients, a moving clock, a store that is late, fails now and then and outlives the server, beside a plain
// reference: what each client believes it was given. Whatever happens
//   - no two clients hold the same address at the same time,
//   - what a client was told is in the table, and in the store once nothing is under way, over restarts too,
//   - every ACK comes with its lease, and a reply goes out only when that is kept,
//   - a client that holds a lease is offered it again; a reservation goes to its host and to nobody else,
//   - an address is refused for want of one only when there is none.
// WEFT_LONG=1: twenty times as many runs. WEFT_SEED=n: that run alone.
#include "dhcp/server.h"

#include <cstdlib>
#include <deque>
#include <map>
#include <random>
#include <set>

#include <gtest/gtest.h>

namespace weft::dhcp {
namespace {

constexpr uint32_t kServer = 0x0a000001, kFirst = 0x0a00000a, kLast = 0x0a00001d;  // 10.0.0.1, .10 … .29
constexpr int64_t kOfferSeconds = 60, kQuarantineSeconds = 600;
constexpr size_t kReservedOutside = 3, kReservedInside = 2, kReserved = kReservedOutside + kReservedInside;
constexpr size_t kClients = 40;

TimePoint at(int64_t s) { return TimePoint(std::chrono::seconds(1'700'000'000 + s)); }

struct ModelClient {
  wire::MacAddress mac;
  std::string id;
  PortId port = 0;
  std::optional<uint32_t> reserved;
  // What it believes.
  std::optional<uint32_t> address;
  int64_t until = 0;
  // A repeated REQUEST belongs to the transaction of the first; answers to an earlier transaction are ignored, as a
  // client does by their xid.
  uint64_t transaction = 0;
  uint32_t asked = 0;
};

struct Pending {
  LeaseChange change;
  std::optional<size_t> client;  // gets the ACK when the change is kept
  int64_t until = 0;
  uint64_t transaction = 0;
};

class Life {
 public:
  explicit Life(uint64_t seed) : rng_(seed) {
    for (size_t i = 0; i < kClients; ++i) {
      ModelClient c;
      // The last clients come in pairs that share a MAC and differ by their identifiers.
      c.mac = wire::MacAddress::from_u64(0x525400000000 | (i >= kClients - 6 ? i / 2 * 2 : i));
      if (i >= kClients - 6 || (i >= kReserved && i % 3 == 0)) c.id = "client-" + std::to_string(i);
      c.port = static_cast<PortId>(i % 4);
      if (i < kReservedOutside)
        c.reserved = static_cast<uint32_t>(0x0a000064 + i);
      else if (i < kReserved)
        c.reserved = static_cast<uint32_t>(kFirst + 3 + i);
      if (c.reserved) scope_.hosts.push_back({c.mac, "static" + std::to_string(i), wire::Ipv4Address(*c.reserved), {}});
      clients_.push_back(c);
    }
    scope_.network = "net";
    scope_.server = wire::Ipv4Address(kServer);
    scope_.ranges = {{wire::Ipv4Address(kFirst), wire::Ipv4Address(kLast), 1000}};
    options_.seed = seed;
    options_.limits.addresses_per_port = below(3) == 0 ? 4 : 1000;
    server_.emplace(scope_, options_);
  }

  void step() {
    const size_t i = below(kClients);
    switch (below(14)) {
      case 0:
      case 1:
      case 2:
        boot(i);
        break;
      case 3:
        (void)discover(i, below(2) == 0 ? std::optional(random_address()) : std::nullopt);
        break;
      case 4:
      case 5:
        if (clients_[i].address) renew(i, below(2) == 0);
        break;
      case 6:
        request(i, clients_[i].address && below(2) == 0 ? *clients_[i].address : random_address(), false);
        break;
      case 7:
        request(i, random_address(), true);
        break;
      case 8:
        if (clients_[i].address) release(i);
        break;
      case 9:
        if (clients_[i].address && below(4) == 0) decline(i);
        break;
      case 10:
        advance(static_cast<int64_t>(below(4) == 0 ? below(1500) : below(60)));
        break;
      case 11:
        settle(1 + below(3));
        break;
      case 12:
        settle(pending_.size());
        break;
      default:
        if (below(5) == 0) restart();
    }
    check();
  }

  size_t acks = 0, offers = 0, naks = 0, full = 0, restarts = 0, reverts = 0;

 private:
  size_t below(size_t n) { return static_cast<size_t>(rng_() % n); }
  uint32_t random_address() { return static_cast<uint32_t>(kFirst - 2 + below(kLast - kFirst + 6)); }

  std::vector<uint8_t> write(const ModelClient& c, MessageType type, uint32_t ciaddr, uint32_t requested, bool to_us) {
    MessageBuilder out(548);
    MessageHeader& header = out.header();
    header.op = kBootRequest;
    header.htype = kHtypeEthernet;
    header.hlen = 6;
    header.chaddr = c.mac;
    header.ciaddr = wire::Ipv4Address(ciaddr);
    out.add_u8(option::kMessageType, static_cast<uint8_t>(type));
    if (requested != 0) out.add_u32(option::kRequestedAddress, requested);
    if (to_us) out.add_u32(option::kServerId, kServer);
    if (!c.id.empty()) out.add(option::kClientId, c.id);
    const auto bytes = out.finish();
    return {bytes.begin(), bytes.end()};
  }

  Outcome send(size_t i, MessageType type, uint32_t ciaddr, uint32_t requested, bool to_us, bool unicast) {
    ModelClient& c = clients_[i];
    if (type != MessageType::request || c.asked != std::max(ciaddr, requested)) ++c.transaction;
    c.asked = type == MessageType::request ? std::max(ciaddr, requested) : 0;
    RequestContext context{c.mac, wire::Ipv4Address(ciaddr), wire::Ipv4Address(unicast ? kServer : 0xffffffff), c.port};
    return server_->handle(write(c, type, ciaddr, requested, to_us), context, at(now_));
  }
  static uint32_t yiaddr(const Outcome& o) {
    return reinterpret_cast<const MessageHeader*>(o.reply.data())->yiaddr.host();
  }

  std::optional<uint32_t> discover(size_t i, std::optional<uint32_t> wanted) {
    const ModelClient& c = clients_[i];
    const auto before = server_->leases();
    const Outcome o = send(i, MessageType::discover, 0, wanted.value_or(0), false, false);
    EXPECT_FALSE(o.change) << "an OFFER changes nothing";
    if (o.verdict != Verdict::reply) {
      if (o.reason == "no address available")
        check_full(c);
      else
        EXPECT_EQ(o.reason, "the port holds as many addresses as it may");
      return std::nullopt;
    }
    ++offers;
    const uint32_t offered = yiaddr(o);
    EXPECT_NE(offered, kServer);
    for (const Lease& lease : before)
      if (lease.address.host() == offered) {
        EXPECT_TRUE(lease.mac == c.mac && lease.client_id == c.id) << "leased to another";
      }
    EXPECT_FALSE(is_declined(offered)) << "declined not long ago";
    if (c.reserved && !is_declined(*c.reserved)) {
      EXPECT_EQ(offered, *c.reserved) << "its reservation";
    }
    for (const ModelClient& other : clients_)
      if (other.reserved == offered) {
        EXPECT_EQ(other.mac, c.mac) << "reserved for another";
      }
    if (!c.reserved && is_leased_by_belief(c)) {
      EXPECT_EQ(offered, *c.address) << "it holds a lease";
    }
    if (!c.reserved || offered != *c.reserved) offered_[offered] = now_;
    return offered;
  }

  void boot(size_t i) {
    if (const auto offered = discover(i, std::nullopt)) request(i, *offered, true);
  }
  void request(size_t i, uint32_t address, bool is_selecting) {
    // A client that selects an address, or reboots with another one, has given up the one it had.
    if (clients_[i].address != address) clients_[i].address.reset();
    answer(i, send(i, MessageType::request, 0, address, is_selecting, false), address);
  }
  void renew(size_t i, bool unicast) {
    const uint32_t address = *clients_[i].address;
    answer(i, send(i, MessageType::request, address, 0, false, unicast), address);
  }

  void answer(size_t i, Outcome o, uint32_t address) {
    if (o.type == MessageType::ack) {
      ++acks;
      ASSERT_TRUE(o.change && o.change->put) << "an ACK without its lease";
      ASSERT_EQ(o.change->put->address.host(), address);
      ASSERT_EQ(yiaddr(o), address);
      ASSERT_EQ(o.change->put->expiry, at(lease_time(address)).time_since_epoch().count());
      pending_.push_back({std::move(*o.change), i, lease_time(address), clients_[i].transaction});
      return;
    }
    if (o.type == MessageType::nak) {
      ++naks;
      clients_[i].address.reset();
    }
    if (o.change) forget(std::move(*o.change));
  }
  /// Addresses outside the range have the default time.
  int64_t lease_time(uint32_t address) const { return now_ + (address >= kFirst && address <= kLast ? 1000 : 3600); }

  void release(size_t i) {
    Outcome o = send(i, MessageType::release, *clients_[i].address, 0, true, true);
    EXPECT_EQ(o.verdict, Verdict::silent);
    clients_[i].address.reset();
    if (o.change) forget(std::move(*o.change));
  }
  void decline(size_t i) {
    const uint32_t address = *clients_[i].address;
    const bool is_alive = clients_[i].until > now_;
    Outcome o = send(i, MessageType::decline, 0, address, true, false);
    clients_[i].address.reset();
    if (o.change) {
      declined_[address] = now_;
      forget(std::move(*o.change));
    } else {
      EXPECT_FALSE(is_alive) << "a DECLINE of a lease must be heard";
    }
  }

  void advance(int64_t seconds) {
    now_ += seconds;
    for (auto& change : server_->expire(at(now_))) forget(std::move(change));
    for (ModelClient& c : clients_)
      if (c.address && c.until <= now_) c.address.reset();
  }

  /// A change that no client waits for.
  void forget(LeaseChange change) { pending_.push_back({std::move(change), std::nullopt, 0, 0}); }

  /// The store answers the oldest `n`, together, as a transaction.
  void settle(size_t n) {
    n = std::min(n, pending_.size());
    const bool is_kept = below(6) != 0;
    for (; n != 0; --n) {
      const Pending p = std::move(pending_.front());
      pending_.pop_front();
      if (!is_kept) {
        ++reverts;
        server_->revert(p.change);
        continue;
      }
      for (const auto address : p.change.removed) store_.erase(address.host());
      if (p.change.put) store_[p.change.put->address.host()] = *p.change.put;
      server_->committed(p.change);
      if (p.client && p.transaction == clients_[*p.client].transaction)
        deliver_ack(*p.client, p.change.put->address.host(), p.until);
    }
  }
  void deliver_ack(size_t i, uint32_t address, int64_t until) {
    // The ACK may be late: the client may have gone on to something else, and the lease with it. Then it ignores it.
    const Lease* lease = server_->find(wire::Ipv4Address(address));
    if (lease == nullptr || lease->mac != clients_[i].mac || lease->client_id != clients_[i].id || until <= now_)
      return;
    clients_[i].address = address;
    clients_[i].until = until;
  }

  void restart() {
    settle(pending_.size());
    ++restarts;
    std::vector<Lease> kept;
    for (const auto& [address, lease] : store_) kept.push_back(lease);
    server_.emplace(scope_, options_);
    // A restart forgets who declined what; a client would decline it again.
    declined_.clear();
    offered_.clear();
    for (auto& change : server_->restore(kept, at(now_))) forget(std::move(change));
  }

  bool is_declined(uint32_t address) const {
    const auto it = declined_.find(address);
    return it != declined_.end() && now_ < it->second + kQuarantineSeconds;
  }
  bool is_leased_by_belief(const ModelClient& c) const { return c.address && c.until > now_; }

  void check_full(const ModelClient& c) {
    ++full;
    std::set<uint32_t> taken;
    for (const Lease& lease : server_->leases()) taken.insert(lease.address.host());
    for (const auto& [address, when] : offered_)
      if (now_ < when + kOfferSeconds) taken.insert(address);
    for (const auto& [address, when] : declined_)
      if (is_declined(address)) taken.insert(address);
    for (const ModelClient& other : clients_)
      if (other.reserved) taken.insert(*other.reserved);
    for (uint32_t a = kFirst; a <= kLast; ++a)
      EXPECT_TRUE(taken.contains(a)) << wire::Ipv4Address(a).to_string() << " is free; " << c.mac.to_string();
  }

  void check() {
    std::map<uint32_t, size_t> holders;
    for (size_t i = 0; i < kClients; ++i) {
      const ModelClient& c = clients_[i];
      if (!is_leased_by_belief(c)) continue;
      const auto [it, is_first] = holders.emplace(*c.address, i);
      ASSERT_TRUE(is_first) << wire::Ipv4Address(*c.address).to_string() << " is held by " << it->second << " and "
                            << i;
      const Lease* lease = server_->find(wire::Ipv4Address(*c.address));
      ASSERT_NE(lease, nullptr) << "client " << i << " was told " << wire::Ipv4Address(*c.address).to_string();
      ASSERT_TRUE(lease->mac == c.mac && lease->client_id == c.id);
    }
    if (!pending_.empty()) return;
    for (const Lease& lease : server_->leases()) {
      const auto it = store_.find(lease.address.host());
      ASSERT_TRUE(it != store_.end()) << lease.address.to_string() << " is not in the store";
      ASSERT_EQ(it->second.mac, lease.mac);
      ASSERT_EQ(it->second.expiry, lease.expiry);
      ASSERT_EQ(it->second.serial, lease.serial);
    }
  }

  std::mt19937_64 rng_;
  Scope scope_;
  ServerOptions options_;
  std::vector<ModelClient> clients_;
  std::optional<Server> server_;
  int64_t now_ = 0;
  std::map<uint32_t, Lease> store_;
  std::deque<Pending> pending_;
  std::map<uint32_t, int64_t> offered_, declined_;
};

TEST(DhcpModel, RandomClientsBesideAReference) {
  const char* is_long = std::getenv("WEFT_LONG");
  const char* one = std::getenv("WEFT_SEED");
  const uint64_t first = one != nullptr ? std::strtoull(one, nullptr, 10) : 1;
  const uint64_t runs = one != nullptr ? 1 : is_long != nullptr && std::string_view(is_long) == "1" ? 6000 : 300;
  size_t acks = 0, offers = 0, naks = 0, full = 0, restarts = 0, reverts = 0;
  for (uint64_t seed = first; seed < first + runs; ++seed) {
    Life run(seed);
    for (int step = 0; step < 400; ++step) {
      run.step();
      ASSERT_FALSE(HasFailure()) << "seed " << seed << ", step " << step;
    }
    acks += run.acks;
    offers += run.offers;
    naks += run.naks;
    full += run.full;
    restarts += run.restarts;
    reverts += run.reverts;
  }
  std::printf("%zu offers, %zu acks, %zu naks, %zu times full, %zu restarts, %zu reverted\n", offers, acks, naks, full,
              restarts, reverts);
  if (one == nullptr) {
    EXPECT_TRUE(acks > 1000 && naks > 100 && full > 100 && restarts > 50 && reverts > 100)
        << "it must have met everything";
  }
}

}  // namespace
}  // namespace weft::dhcp
