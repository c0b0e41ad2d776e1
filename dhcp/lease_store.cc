// SPDX-License-Identifier: BSD-3-Clause
#include "dhcp/lease_store.h"

#include <array>
#include <system_error>

#include <sqlite3.h>

#include <fcntl.h>
#include <unistd.h>

namespace weft::dhcp {
namespace {

constexpr int kSchemaVersion = 1;
constexpr int kBusyMilliseconds = 1000;

/// One step a version: step i brings user_version i to i + 1.
constexpr std::array<const char*, kSchemaVersion> kMigrations = {
    "CREATE TABLE lease("
    " network TEXT NOT NULL, address TEXT NOT NULL, mac TEXT NOT NULL, client_id BLOB NOT NULL,"
    " hostname TEXT NOT NULL, expiry INTEGER NOT NULL, serial INTEGER NOT NULL,"
    " PRIMARY KEY(network, address)) WITHOUT ROWID;"
    "CREATE TABLE state(key TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL) WITHOUT ROWID;",
};

struct CloseDatabase {
  void operator()(sqlite3* db) const noexcept { sqlite3_close_v2(db); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;

struct FinalizeStatement {
  void operator()(sqlite3_stmt* s) const noexcept { sqlite3_finalize(s); }
};
using Statement = std::unique_ptr<sqlite3_stmt, FinalizeStatement>;

bool is_damage(int code) noexcept { return (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB; }

struct Failure {
  int code = SQLITE_ERROR;
  std::string text;
};
template <class T>
using Result = tl::expected<T, Failure>;

tl::unexpected<Failure> failure(sqlite3* db) {
  const int code = sqlite3_extended_errcode(db);
  std::string text = sqlite3_errmsg(db);
  if (const int error = sqlite3_system_errno(db); error != 0 && (code & 0xff) == SQLITE_IOERR)
    text += ": " + std::generic_category().message(error);
  return tl::make_unexpected(Failure{code, std::move(text)});
}

Result<void> execute(sqlite3* db, const char* sql) {
  if (sqlite3_exec(db, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return failure(db);
  return {};
}

Result<Statement> prepare(sqlite3* db, const char* sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr) != SQLITE_OK) return failure(db);
  return Statement(statement);
}

void bind_text(sqlite3_stmt* s, int index, std::string_view text) {
  sqlite3_bind_text(s, index, text.data() == nullptr ? "" : text.data(), static_cast<int>(text.size()),
                    SQLITE_TRANSIENT);
}
void bind_blob(sqlite3_stmt* s, int index, std::string_view bytes) {
  sqlite3_bind_blob(s, index, bytes.empty() ? "" : bytes.data(), static_cast<int>(bytes.size()), SQLITE_TRANSIENT);
}

std::string column(sqlite3_stmt* s, int index) {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(s, index));
  return bytes == nullptr ? std::string() : std::string(bytes, static_cast<size_t>(sqlite3_column_bytes(s, index)));
}

/// Runs a statement that returns no rows, and makes it ready for the next use.
Result<void> run(sqlite3* db, sqlite3_stmt* s) {
  const bool is_done = sqlite3_step(s) == SQLITE_DONE;
  Result<void> result;
  if (!is_done) result = failure(db);
  sqlite3_reset(s);
  sqlite3_clear_bindings(s);
  return result;
}

Result<int> user_version(sqlite3* db) {
  auto statement = prepare(db, "PRAGMA user_version");
  if (!statement) return tl::make_unexpected(statement.error());
  if (sqlite3_step(statement->get()) != SQLITE_ROW) return failure(db);
  return sqlite3_column_int(statement->get(), 0);
}

Result<void> check_integrity(sqlite3* db) {
  auto statement = prepare(db, "PRAGMA integrity_check(1)");
  if (!statement) return tl::make_unexpected(statement.error());
  if (sqlite3_step(statement->get()) != SQLITE_ROW) return failure(db);
  if (std::string verdict = column(statement->get(), 0); verdict != "ok")
    return tl::make_unexpected(Failure{SQLITE_CORRUPT, std::move(verdict)});
  return {};
}

Result<void> migrate(sqlite3* db) {
  const auto version = user_version(db);
  if (!version) return tl::make_unexpected(version.error());
  if (*version > kSchemaVersion)
    return tl::make_unexpected(Failure{SQLITE_ERROR, "was written by a newer version (layout " +
                                                         std::to_string(*version) + ", this one knows " +
                                                         std::to_string(kSchemaVersion) + ")"});
  for (int step = *version; step < kSchemaVersion; ++step) {
    const std::string sql = std::string("BEGIN IMMEDIATE;") + kMigrations[static_cast<size_t>(step)] +
                            "PRAGMA user_version=" + std::to_string(step + 1) + ";COMMIT";
    if (auto done = execute(db, sql.c_str()); !done) {
      sqlite3_exec(db, "ROLLBACK", nullptr, nullptr, nullptr);
      return done;
    }
  }
  return {};
}

Result<Database> open_database(const std::filesystem::path& path) {
  // Made here and not by SQLite, for its mode: leases tell who was where. The journal inherits it.
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return tl::make_unexpected(Failure{SQLITE_CANTOPEN, std::generic_category().message(errno)});
  ::close(fd);
  sqlite3* handle = nullptr;
  const int opened = sqlite3_open_v2(path.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  Database db(handle);
  if (opened != SQLITE_OK)
    return handle == nullptr ? tl::make_unexpected(Failure{opened, sqlite3_errstr(opened)}) : failure(handle);
  sqlite3_busy_timeout(handle, kBusyMilliseconds);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  // FULL: the journal is synced at every commit, so that an acknowledged lease outlives a power cut, not only a crash.
  for (const char* pragma : {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA cell_size_check=ON"})
    if (auto done = execute(handle, pragma); !done) return tl::make_unexpected(done.error());
  if (auto done = check_integrity(handle); !done) return tl::make_unexpected(done.error());
  if (auto done = migrate(handle); !done) return tl::make_unexpected(done.error());
  return db;
}

/// Moves a damaged database and what belongs to it to the first free name. The new name, or an error.
tl::expected<std::filesystem::path, std::string> put_aside(const std::filesystem::path& path) {
  std::error_code error;
  for (int n = 1; n < 1000; ++n) {
    const std::filesystem::path aside = path.string() + ".corrupt-" + std::to_string(n);
    if (std::filesystem::exists(std::filesystem::symlink_status(aside, error))) continue;
    std::filesystem::rename(path, aside, error);
    if (error) return tl::make_unexpected(error.message());
    // A journal left behind would be played into the new database.
    for (const char* part : {"-wal", "-shm", "-journal"}) {
      std::filesystem::rename(path.string() + part, aside.string() + part, error);
      if (error && error != std::errc::no_such_file_or_directory) return tl::make_unexpected(error.message());
    }
    return aside;
  }
  return tl::make_unexpected(std::string("there are too many damaged ones already"));
}

}  // namespace

struct LeaseStore::Impl {
  explicit Impl(Database database) : db(std::move(database)) {}

  std::optional<Failure> prepare_all() {
    const auto make = [&](Statement& statement, const char* sql) {
      auto made = prepare(db.get(), sql);
      if (made) statement = std::move(*made);
      return made ? std::nullopt : std::optional(made.error());
    };
    if (auto e = make(put_lease,
                      "INSERT INTO lease VALUES(?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET"
                      " mac=excluded.mac, client_id=excluded.client_id, hostname=excluded.hostname,"
                      " expiry=excluded.expiry, serial=excluded.serial"))
      return e;
    if (auto e = make(remove_lease, "DELETE FROM lease WHERE network=? AND address=?")) return e;
    if (auto e = make(remove_network, "DELETE FROM lease WHERE network=?")) return e;
    if (auto e = make(get, "SELECT value FROM state WHERE key=?")) return e;
    if (auto e = make(put, "INSERT INTO state VALUES(?,?) ON CONFLICT DO UPDATE SET value=excluded.value")) return e;
    return make(erase, "DELETE FROM state WHERE key=?");
  }

  Result<void> write(const LeaseChange& change) {
    for (const auto address : change.removed) {
      bind_text(remove_lease.get(), 1, change.network);
      bind_text(remove_lease.get(), 2, address.to_string());
      if (auto done = run(db.get(), remove_lease.get()); !done) return done;
    }
    if (!change.put) return {};
    const Lease& lease = *change.put;
    bind_text(put_lease.get(), 1, change.network);
    bind_text(put_lease.get(), 2, lease.address.to_string());
    bind_text(put_lease.get(), 3, lease.mac.to_string());
    bind_blob(put_lease.get(), 4, lease.client_id);
    bind_text(put_lease.get(), 5, lease.hostname);
    sqlite3_bind_int64(put_lease.get(), 6, lease.expiry);
    sqlite3_bind_int64(put_lease.get(), 7, static_cast<int64_t>(lease.serial));
    return run(db.get(), put_lease.get());
  }

  Database db;  // first: statements go before it
  Statement put_lease, remove_lease, remove_network, get, put, erase;
};

LeaseStore::LeaseStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LeaseStore::LeaseStore(LeaseStore&&) noexcept = default;
LeaseStore& LeaseStore::operator=(LeaseStore&&) noexcept = default;
LeaseStore::~LeaseStore() = default;

tl::expected<LeaseStore::Opened, std::string> LeaseStore::open(const std::filesystem::path& path) {
  const auto failed = [&](const std::string& why) {
    return tl::make_unexpected("cannot use the state database " + path.string() + ": " + why);
  };
  std::string warning;
  auto db = open_database(path);
  if (!db && is_damage(db.error().code)) {
    const auto aside = put_aside(path);
    if (!aside) return failed("it is damaged (" + db.error().text + ") and cannot be put aside: " + aside.error());
    warning = "the state database " + path.string() + " is damaged (" + db.error().text + "); it was put aside as " +
              aside->string() + " and a new one begun: leases and generated addresses start afresh";
    db = open_database(path);
  }
  if (!db) {
    const bool is_held = (db.error().code & 0xff) == SQLITE_BUSY || (db.error().code & 0xff) == SQLITE_LOCKED;
    return failed(is_held ? "another process holds it" : db.error().text);
  }
  auto impl = std::make_unique<Impl>(std::move(*db));
  if (const auto error = impl->prepare_all()) return failed(error->text);
  return Opened{LeaseStore(std::move(impl)), std::move(warning)};
}

tl::expected<std::map<std::string, std::vector<Lease>>, std::string> LeaseStore::load() {
  sqlite3* db = impl_->db.get();
  auto statement =
      prepare(db, "SELECT network, address, mac, client_id, hostname, expiry, serial FROM lease ORDER BY serial");
  if (!statement) return tl::make_unexpected(statement.error().text);
  std::map<std::string, std::vector<Lease>> leases;
  int step;
  while ((step = sqlite3_step(statement->get())) == SQLITE_ROW) {
    sqlite3_stmt* row = statement->get();
    const auto address = wire::Ipv4Address::parse(column(row, 1));
    const auto mac = wire::MacAddress::parse(column(row, 2));
    if (!address || !mac) continue;  // not written by us: an administrator's hand, or a later protocol's row
    Lease lease;
    lease.address = *address;
    lease.mac = *mac;
    lease.client_id = column(row, 3);
    lease.hostname = column(row, 4);
    lease.expiry = sqlite3_column_int64(row, 5);
    lease.serial = static_cast<uint64_t>(sqlite3_column_int64(row, 6));
    leases[column(row, 0)].push_back(std::move(lease));
  }
  if (step != SQLITE_DONE) return tl::make_unexpected(failure(db).value().text);
  return leases;
}

tl::expected<void, std::string> LeaseStore::commit(std::span<const LeaseChange> changes) {
  if (changes.empty()) return {};
  sqlite3* db = impl_->db.get();
  auto done = execute(db, "BEGIN IMMEDIATE");
  for (size_t i = 0; done && i < changes.size(); ++i) done = impl_->write(changes[i]);
  if (done) done = execute(db, "COMMIT");
  if (done) return {};
  // SQLite may have rolled back by itself (disk full); then this fails, which is as good.
  sqlite3_exec(db, "ROLLBACK", nullptr, nullptr, nullptr);
  return tl::make_unexpected("state database: " + done.error().text);
}

tl::expected<void, std::string> LeaseStore::remove_network(std::string_view network) {
  bind_text(impl_->remove_network.get(), 1, network);
  return run(impl_->db.get(), impl_->remove_network.get()).map_error([](const Failure& f) { return f.text; });
}

tl::expected<std::optional<std::string>, std::string> LeaseStore::get(std::string_view key) {
  sqlite3_stmt* statement = impl_->get.get();
  bind_text(statement, 1, key);
  const int step = sqlite3_step(statement);
  tl::expected<std::optional<std::string>, std::string> result{std::nullopt};
  if (step == SQLITE_ROW)
    result = std::optional(column(statement, 0));
  else if (step != SQLITE_DONE)
    result = tl::make_unexpected(failure(impl_->db.get()).value().text);
  sqlite3_reset(statement);
  return result;
}

tl::expected<void, std::string> LeaseStore::put(std::string_view key, std::string_view value) {
  bind_text(impl_->put.get(), 1, key);
  bind_blob(impl_->put.get(), 2, value);
  return run(impl_->db.get(), impl_->put.get()).map_error([](const Failure& f) { return f.text; });
}

tl::expected<void, std::string> LeaseStore::erase(std::string_view key) {
  bind_text(impl_->erase.get(), 1, key);
  return run(impl_->db.get(), impl_->erase.get()).map_error([](const Failure& f) { return f.text; });
}

}  // namespace weft::dhcp
