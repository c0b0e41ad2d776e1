// SPDX-License-Identifier: BSD-3-Clause
//
// DNS messages (RFC 1035 §4, 2181, 3597, 6891): a bounded reader, the queries clients send us, and a builder
// that compresses names and leaves out whole RRsets when the space ends. Everything works on the caller's
// bytes: no allocation, no exceptions. Any thread.
#pragma once

#include "dataplane/wire/addr.h"
#include "dns/name.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <tl/expected.hpp>

namespace weft::dns {

namespace type {
inline constexpr uint16_t kA = 1, kNs = 2, kCname = 5, kSoa = 6, kPtr = 12, kMx = 15, kTxt = 16, kAaaa = 28, kSrv = 33,
                          kOpt = 41, kHttps = 65, kTkey = 249, kTsig = 250, kIxfr = 251, kAxfr = 252, kMaila = 254,
                          kAny = 255;
}
namespace klass {
inline constexpr uint16_t kIn = 1, kChaos = 3, kAny = 255;
}
/// RFC 1035 §4.1.1; AD and CD of RFC 4035 §3.1.6 and §3.2.2.
namespace flag {
inline constexpr uint16_t kResponse = 0x8000, kOpcodeMask = 0x7800, kAuthoritative = 0x0400, kTruncated = 0x0200,
                          kRecursionDesired = 0x0100, kRecursionAvailable = 0x0080, kAuthenticData = 0x0020,
                          kCheckingDisabled = 0x0010, kRcodeMask = 0x000f;
}
/// RFC 1035 §4.1.1 and, from 16 on, RFC 6891 §9 (needs an OPT record).
namespace rcode {
inline constexpr uint16_t kNoError = 0, kFormErr = 1, kServFail = 2, kNxDomain = 3, kNotImp = 4, kRefused = 5,
                          kBadVers = 16;
}

enum class Transport : uint8_t { kUdp, kTcp };

inline constexpr size_t kHeaderSize = 12;
inline constexpr size_t kMaxMessage = 65535;
inline constexpr size_t kPlainUdpSize = 512;  // RFC 1035 §2.3.4, without EDNS
inline constexpr size_t kEdnsUdpSize = 1232;  // what we offer and never exceed: fits 1280 bytes of IPv6 unfragmented

struct Header {
  uint16_t id = 0;
  uint16_t flags = 0;
  std::array<uint16_t, 4> counts{};  // question, answer, authority, additional
};

struct Question {
  Name name;
  uint16_t type = 0;
  uint16_t klass = 0;
  /// Ignores the name's case.
  bool operator==(const Question&) const noexcept = default;
};

/// A resource record's fixed part and where its data lies in the message.
struct Record {
  Name owner;
  uint16_t type = 0;
  uint16_t klass = 0;
  uint32_t ttl = 0;       // seconds; a value with the top bit set reads as 0 (RFC 2181 §8); raw for OPT
  size_t start = 0;       // offset of the owner
  size_t ttl_offset = 0;  // offset of the four TTL bytes
  size_t data_offset = 0;
  size_t data_size = 0;
  [[nodiscard]] size_t end() const noexcept { return data_offset + data_size; }
};

/// An OPT record's fixed fields (RFC 6891 §6.1.2); options are not kept.
struct Edns {
  static constexpr size_t kSize = 11;  // bytes of an OPT record without options
  uint16_t udp_size = kEdnsUdpSize;    // bytes the sender can take
  uint8_t extended_rcode = 0;          // upper 8 bits of the 12-bit rcode
  uint8_t version = 0;
  bool dnssec_ok = false;  // DO (RFC 3225)
  static Edns from(const Record& opt) noexcept;
};

/// Reads a message front to back: header, then as many questions and records as its counts say. Each call
/// answers nullopt when the bytes end early or a name is malformed.
class Reader {
 public:
  explicit Reader(std::span<const uint8_t> message) noexcept : message_(message) {}
  std::optional<Header> header() noexcept;
  std::optional<Question> question() noexcept;
  std::optional<Record> record() noexcept;
  [[nodiscard]] size_t offset() const noexcept { return offset_; }

 private:
  [[nodiscard]] bool has(size_t n) const noexcept { return message_.size() - offset_ >= n; }
  uint16_t u16() noexcept;
  std::span<const uint8_t> message_;
  size_t offset_ = 0;
};

/// A well-formed query of a client.
struct Query {
  uint16_t id = 0;
  uint16_t flags = 0;        // as sent
  Question question;         // case as sent
  std::optional<Edns> edns;  // set: the client speaks EDNS, so the answer carries an OPT record

  [[nodiscard]] bool dnssec_ok() const noexcept { return edns && edns->dnssec_ok; }
  [[nodiscard]] bool checking_disabled() const noexcept { return (flags & flag::kCheckingDisabled) != 0; }
  /// Bytes the answer may have: UDP 512, or with EDNS what the client takes within [512, 1232]; TCP 65535.
  [[nodiscard]] size_t response_limit(Transport transport) const noexcept;
};

/// A query that is answered by its error alone, or (ignore) not at all.
struct QueryError {
  bool ignore = false;  // shorter than a header, or a response: answering could loop
  uint16_t id = 0;
  uint16_t flags = 0;  // as sent
  uint16_t rcode = 0;
  std::optional<Edns> edns;
};

/// Reads a client's query. FORMERR: QDCOUNT ≠ 1, malformed, two OPT records or an OPT not at the root (RFC
/// 6891 §6.1.1); NOTIMP: an opcode other than QUERY; BADVERS: EDNS version above 0 (§6.1.3). Other records
/// are walked and ignored, as are bytes after the last one.
tl::expected<Query, QueryError> parse_query(std::span<const uint8_t> message) noexcept;

/// Flags of a response: the client's opcode, RD and CD, ours QR and RA, and `extra` (AA, TC, AD) and the
/// rcode's low bits.
uint16_t response_flags(uint16_t query_flags, uint16_t extra, uint16_t rcode) noexcept;

/// Writes the header-only answer (with OPT if the client sent one). Returns bytes written, 0 for `ignore`.
/// `out` needs 23 bytes.
size_t write_error(const QueryError& error, std::span<uint8_t> out) noexcept;

/// Writes an answer with the question and no records. Returns bytes written; `out` needs 282 bytes or the
/// client's limit, which never is less than 512.
size_t write_empty(const Query& query, uint16_t rcode, uint16_t extra_flags, std::span<uint8_t> out) noexcept;

enum class Section : uint8_t { kQuestion, kAnswer, kAuthority, kAdditional };

/// Writes a message into the caller's bytes; their number is the size limit. Records must come in section
/// order. When a record does not fit, its whole RRset (consecutive records of one section, owner, type and
/// class) is taken back and nothing more is accepted; TC is set if that was in the answer or authority
/// section (RFC 2181 §9).
class Builder {
 public:
  /// `out` of at least 12 bytes. An OPT record's place is kept free when `edns` is given; finish() writes it.
  Builder(std::span<uint8_t> out, uint16_t id, uint16_t flags, std::optional<Edns> edns = std::nullopt) noexcept;

  /// False when it does not fit.
  bool add_question(const Question& question) noexcept;

  /// A record with its data as it is. False: it did not fit, or an earlier one did not.
  bool add(Section section, const Name& owner, uint16_t type, uint16_t klass, uint32_t ttl,
           std::span<const uint8_t> data) noexcept;
  bool add_address(Section section, const Name& owner, uint32_t ttl, const wire::IpAddress& address) noexcept;
  /// A record whose data is one name (PTR, CNAME, NS).
  bool add_name(Section section, const Name& owner, uint16_t type, uint32_t ttl, const Name& target) noexcept;
  /// For negative answers (RFC 2308 §3): `ttl` is also the minimum field; the other times are conventional.
  bool add_soa(Section section, const Name& zone, uint32_t ttl, const Name& primary, const Name& mailbox) noexcept;

  // Piecewise: begin_record, any of put_*, end_record.
  void begin_record(Section section, const Name& owner, uint16_t type, uint16_t klass, uint32_t ttl) noexcept;
  void put(std::span<const uint8_t> bytes) noexcept;
  void put_u16(uint16_t v) noexcept;
  void put_u32(uint32_t v) noexcept;
  /// `compress`: only where RFC 3597 §4 allows a compressed name.
  void put_name(const Name& name, bool compress) noexcept;
  bool end_record() noexcept;

  /// Writes the OPT record and the header; returns the message's size.
  size_t finish() noexcept;
  [[nodiscard]] bool truncated() const noexcept { return truncated_; }

 private:
  struct Suffix {
    uint16_t offset;
    uint16_t hash;
  };
  struct Mark {
    size_t size = 0;
    size_t n_suffixes = 0;
    uint16_t count = 0;
  };
  static constexpr size_t kMaxSuffixes = 64;  // later names are written in full: bounded work, a little larger
  void roll_back() noexcept;
  [[nodiscard]] bool name_at(size_t offset, std::span<const uint8_t> name) const noexcept;

  std::span<uint8_t> out_;
  size_t limit_;  // of records; the OPT record's place lies behind it
  size_t size_ = kHeaderSize;
  bool overflow_ = false;  // in the record being written
  bool closed_ = false;    // an RRset was left out: nothing follows
  bool truncated_ = false;
  uint16_t id_;
  uint16_t flags_;
  std::optional<Edns> edns_;
  std::array<uint16_t, 4> counts_{};
  std::array<Suffix, kMaxSuffixes> suffixes_;
  size_t n_suffixes_ = 0;
  size_t length_at_ = 0;  // offset of the current record's RDLENGTH
  Section section_ = Section::kQuestion;
  Section rrset_section_ = Section::kQuestion;  // kQuestion: no RRset yet
  Name rrset_owner_;
  uint16_t rrset_type_ = 0;
  uint16_t rrset_klass_ = 0;
  Mark rrset_start_;
};

}  // namespace weft::dns
