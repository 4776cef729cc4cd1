// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessLog} from "../../contracts/interfaces/IAccessLog.sol";
import {IAuthorizations} from "../../contracts/interfaces/IAuthorizations.sol";
import {IRegistry} from "../../contracts/interfaces/IRegistry.sol";
import {ISubjects} from "../../contracts/interfaces/ISubjects.sol";
import {Grant} from "../../contracts/libraries/Grants.sol";
import {AgreementId, AuthorizationId, Class, DatasetId, OrderId, Outcome} from "../../contracts/libraries/Types.sol";
import {Powers} from "./Powers.sol";
import {Signed} from "./Signed.sol";
import {VM, Vm} from "./Vm.sol";

/// @title A city in which anything may happen in any order: acts of one person, of consumers, and of the powerful.
/// @notice The runner calls `acts` at random. Beside the contracts this keeps a book of its own, by other means than theirs, and
/// counts how often a promise was broken.
contract History is Powers {
    /// @param valid Recoveries completed when it was granted, or confirmed last.
    /// @param round Withdrawals of the agreement behind it when it was granted.
    struct Given {
        uint32 maxUses;
        uint32 allowed;
        uint32 voided;
        uint256 valid;
        uint256 round;
        bool revoked;
    }

    /// @dev A key that was Alice's.
    struct Former {
        uint256 key;
        uint256 stopUntil;
    }

    // What the chain should say.
    uint256 public sequence;
    bytes32 public head;
    mapping(Outcome outcome => uint256 times) public seen;
    mapping(AuthorizationId authorization => Given) public given;
    AuthorizationId[] public ids;

    // How often a promise was broken.
    uint256 public gaps;
    uint256 public rewritten;
    uint256 public allowedWhileStopped;
    uint256 public stopsRefused;
    uint256 public overreached;
    uint256 public unchained;

    uint256 private _clock;
    uint256 private _key = ALICE_KEY;
    Former[] private _former;
    uint256 private _recoveries;
    bool private _frozen;
    bool private _closed;
    mapping(AuthorizationId authorization => IAuthorizations.Authorization) private _signed;
    bytes32 private _parking;

    /// @dev Each act happens at the book's time, and nothing but recording moves the log.
    modifier anAct() {
        VM.warp(_clock += 10 minutes);
        VM.recordLogs();
        _;
        _enterAll(_follow());
        (uint256 foundSequence, bytes32 foundHead) = accessLog.state();
        if (foundSequence != sequence || foundHead != head) ++rewritten;
        bool chained = _isChained(registry) && _isChained(catalogue);
        if (!chained || !_isChained(agreements) || !_isChained(authorizations)) ++unchained;
    }

    function setUp() public override {
        super.setUp();
        _clock = _now();
        _parking = DatasetId.unwrap(_register("parking", Class.Unconditional, false));
        _follow();
    }

    /// @dev Some more than once: the more often, the likelier.
    function acts() external pure returns (bytes4[] memory selectors) {
        bytes4[26] memory chosen = [
            this.grants.selector,
            this.grants.selector,
            this.grants.selector,
            this.grants.selector,
            this.uses.selector,
            this.uses.selector,
            this.uses.selector,
            this.uses.selector,
            this.uses.selector,
            this.uses.selector,
            this.revokes.selector,
            this.revokesAhead.selector,
            this.voids.selector,
            this.closes.selector,
            this.opens.selector,
            this.freezes.selector,
            this.unfreezes.selector,
            this.unfreezes.selector,
            this.rotates.selector,
            this.opens.selector,
            this.unfreezes.selector,
            this.recovers.selector,
            this.confirms.selector,
            this.powersAct.selector,
            this.powersAct.selector,
            this.timePasses.selector
        ];
        selectors = new bytes4[](chosen.length);
        for (uint256 i = 0; i < chosen.length; ++i) {
            selectors[i] = chosen[i];
        }
    }

    function accessLogOf() external view returns (IAccessLog) {
        return accessLog;
    }

    function authorizationsOf() external view returns (IAuthorizations) {
        return authorizations;
    }

    function registryOf() external view returns (IRegistry) {
        return registry;
    }

    function count() external view returns (uint256) {
        return ids.length;
    }

    // Alice

    function grants(uint256 seed) external anAct {
        IAuthorizations.Authorization memory terms = _terms();
        terms.maxUses = uint32(1 + seed % 3);
        if (seed >> 8 & 3 == 0) terms.minInterval = 1 hours;
        if (seed >> 16 & 1 == 0) terms.item = "record";
        if (seed >> 24 & 3 == 0) terms.expiresAt = _now() + 3 hours;
        if (seed >> 32 & 3 == 0) (terms.notBefore, terms.expiresAt) = (_now() + 20 hours, _now() + 2 days);
        ISubjects.Approval memory approval = _by(_key, Signed.authorization(terms));
        try authorizations.grant(terms, approval) returns (AuthorizationId authorization) {
            ids.push(authorization);
            given[authorization] = Given(terms.maxUses, 0, 0, _recoveries, withdrawals, false);
            _signed[authorization] = terms;
        } catch {}
    }

    /// @dev With her key, or with one that was hers: for as long as that may stop, it must.
    function revokes(uint256 seed) external anAct {
        if (ids.length == 0) return;
        AuthorizationId authorization = ids[seed % ids.length];
        Given storage found = given[authorization];
        if (found.revoked) return;
        (uint256 key, bool may) = _anyKey(seed >> 8);
        if (_revokes(key, authorization)) {
            found.revoked = true;
            if (!may) ++overreached;
        } else if (may) {
            ++stopsRefused;
        }
    }

    /// @dev What is revoked before it is granted is never granted.
    function revokesAhead(uint256 seed) external anAct {
        IAuthorizations.Authorization memory terms = _terms();
        (uint256 key, bool may) = _anyKey(seed);
        bool done = _revokes(key, authorizations.authorizationId(terms));
        if (!done && may) ++stopsRefused;
        if (done && !may) ++overreached;
        if (!done) return;
        ISubjects.Approval memory approval = _by(_key, Signed.authorization(terms));
        try authorizations.grant(terms, approval) {
            ++overreached;
        } catch {}
    }

    /// @dev Rarely with a key that was hers, because that halts for long.
    function freezes(uint256 seed) external anAct {
        (uint256 key, bool may) = _anyKey(seed & 127 == 1 ? seed >> 7 : 0);
        bool done = _setsFrozen(key, true);
        if (done) _frozen = true;
        if (done && !may) ++overreached;
        if (!done && may) ++stopsRefused;
    }

    function unfreezes(uint256 seed) external anAct {
        (uint256 key,) = _anyKey(seed & 1);
        if (!_setsFrozen(key, false)) return;
        _frozen = false;
        if (key != _key) ++overreached;
    }

    /// @dev Rarely, because the next key lifts what the one before froze only after days.
    function rotates(uint256 seed) external anAct {
        if (seed % 8 != 0) return;
        bytes32 nonce = _random();
        uint256 next = _newKey(seed);
        bytes32 structHash = Signed.rotation(ALICE, _account(next), nonce, _soon());
        try authorizations.rotateSigner(ALICE, _account(next), nonce, _soon(), _by(_key, structHash)) {
            _former.push(Former(_key, _now() + 30 days));
            _key = next;
        } catch {}
    }

    /// @dev Starts a recovery, completes one that is due, or vetoes it.
    function recovers(uint256 seed) external anAct {
        ISubjects.SubjectState memory state = authorizations.subjectOf(ALICE);
        uint256 next = _newKey(_recoveries);
        if (state.recoveryAt == 0 && seed % 4 != 0) return;
        if (state.recoveryAt == 0) {
            bytes memory start = abi.encodeCall(authorizations.startRecovery, (ALICE, _account(next)));
            _try(identity, address(authorizations), start);
        } else if (seed % 3 == 0) {
            bytes32 nonce = _random();
            ISubjects.Approval memory approval = _by(_key, Signed.veto(ALICE, _account(next), nonce, _soon()));
            try authorizations.vetoRecovery(ALICE, _account(next), nonce, _soon(), approval) {} catch {}
        } else {
            try authorizations.completeRecovery(ALICE) {
                _former.push(Former(_key, _now() + 365 days));
                _key = next;
                ++_recoveries;
            } catch {}
        }
    }

    function closes(uint256 seed) external anAct {
        if (seed % 16 != 0) return;
        bytes memory close = abi.encodeCall(authorizations.closeSubject, (ALICE));
        if (_try(identity, address(authorizations), close)) _closed = true;
    }

    function opens(uint256 seed) external anAct {
        (uint256 key,) = _anyKey(seed & 1);
        bytes32 nonce = _random();
        ISubjects.Approval memory approval = _by(key, Signed.opening(ALICE, nonce, _soon()));
        bytes memory open = abi.encodeCall(authorizations.openSubject, (ALICE, nonce, _soon(), approval));
        if (!_try(identity, address(authorizations), open)) return;
        _closed = false;
        if (key != _key) ++overreached;
    }

    function confirms(uint256 seed) external anAct {
        if (ids.length == 0) return;
        AuthorizationId authorization = ids[seed % ids.length];
        ISubjects.Approval memory approval = _by(_key, Signed.confirmation(ALICE, authorization, _soon()));
        try authorizations.confirm(ALICE, authorization, _soon(), approval) {
            given[authorization].valid = _recoveries;
        } catch {}
    }

    // The others

    function uses(uint256 seed) external anAct {
        IAccessLog.Request[] memory requests = new IAccessLog.Request[](1 + seed % 4);
        for (uint256 i = 0; i < requests.length; ++i) {
            requests[i] = _anyRequest(uint256(keccak256(abi.encode(seed, i))));
        }
        IAccessLog.Batch[] memory batches = _batch(seed >> 8 & 7 == 0 ? insurer : bank, requests);
        _try(recorder, address(accessLog), abi.encodeCall(accessLog.record, (batches)));
    }

    /// @dev A regulator gives a use back that was served, or was another authorization's: as far as it can.
    function voids(uint256 seed) external anAct {
        if (ids.length == 0) return;
        AuthorizationId authorization = ids[seed % ids.length];
        uint256 which = 1 + (seed >> 8) % (sequence + 1);
        (Grant grant,) = authorizations.grantOf(authorization);
        bytes memory act = abi.encodeCall(
            authorizations.voidAccess,
            (
                which,
                _signed[authorization],
                seed >> 17 & 7 == 0 ? 1 : grant.lastUse(),
                seed >> 16 & 1 == 0 ? 0 : grant.lastUse(),
                IAuthorizations.VoidGround.Unsigned,
                "no signature"
            )
        );
        if (_try(regulator, address(authorizations), act)) ++given[authorization].voided;
    }

    function powersAct(uint256 seed) external anAct {
        uint256 who = (seed & 0xff) % 6;
        if (who == 0) _authorityActs(seed >> 8);
        else if (who == 1) _providerActs(seed >> 8);
        else if (who == 2) _regulatorActs(seed >> 8);
        else if (who == 3) _machineActs(seed >> 8);
        else if (who == 4) _consumerActs(seed >> 8);
        else _strangerActs(seed >> 8, ids.length == 0 ? AuthorizationId.wrap(0) : ids[seed % ids.length]);
    }

    function timePasses(uint256 seed) external {
        _clock += seed % 8 == 0 ? RECOVERY_DELAY : seed % 1 hours;
        if (seed % 64 == 1) _clock += 366 days; // longer than any key that was hers may stop
    }

    // The book

    function _enterAll(Vm.Log[] memory logs) private {
        for (uint256 i = 0; i < logs.length; ++i) {
            if (_isAccess(logs[i])) _enter(logs[i]);
        }
    }

    function _enter(Vm.Log memory log) private {
        Seen memory access = _read(log);
        if (access.sequence != sequence + 1) ++gaps;
        sequence = access.sequence;
        head = keccak256(abi.encodePacked(head, log.topics[1], log.data));
        ++seen[access.outcome];
        Given storage found = given[AuthorizationId.wrap(access.basis)];
        if (access.outcome != Outcome.Allowed || found.maxUses == 0) return;
        ++found.allowed;
        bool halted = _frozen || _closed || authorizations.subjectOf(ALICE).recoveryAt != 0;
        bool ended = found.revoked || found.valid != _recoveries || found.round != withdrawals;
        if (halted || ended || _now() < suspendedUntil) ++allowedWhileStopped;
    }

    function _anyRequest(uint256 seed) private returns (IAccessLog.Request memory request) {
        request = _request(_anyBasis(seed));
        request.nonce = seed >> 16 & 0x7ff; // few enough to meet again
        if (seed >> 32 & 15 == 0) request.deadline = _now() - 1;
        if (seed >> 40 & 15 == 0) request.fields = 0x100;
        if (seed >> 48 & 1 == 0) request.item = seed >> 56 & 1 == 0 ? bytes32("record") : bytes32("another");
    }

    function _anyBasis(uint256 seed) private view returns (bytes32) {
        uint256 kind = seed % 16;
        if (kind == 0) return "unknown";
        if (kind == 1) return _parking;
        if (kind == 2) return AgreementId.unwrap(landForLoan);
        if (kind == 3 && orders.length != 0) return OrderId.unwrap(orders[orders.length - 1]);
        if (ids.length == 0) return "none yet";
        uint256 back = seed >> 8 & 7; // rather one of the last
        return AuthorizationId.unwrap(ids[back < ids.length ? ids.length - 1 - back : 0]);
    }

    /// @return key Hers now, or one that was.
    /// @return may Whether it may stop.
    function _anyKey(uint256 seed) private view returns (uint256 key, bool may) {
        uint256 which = seed % (_former.length + 1);
        if (which == 0) return (_key, true);
        Former storage former = _former[which - 1];
        return (former.key, former.stopUntil > _now());
    }

    function _revokes(uint256 key, AuthorizationId authorization) private returns (bool) {
        ISubjects.Approval memory approval = _by(key, Signed.revocation(ALICE, authorization, _soon()));
        try authorizations.revoke(ALICE, authorization, _soon(), approval) {
            return true;
        } catch {
            return false;
        }
    }

    function _setsFrozen(uint256 key, bool frozen) private returns (bool) {
        bytes32 nonce = _random();
        ISubjects.Approval memory approval = _by(key, Signed.freeze(ALICE, frozen, nonce, _soon()));
        try authorizations.setFrozen(ALICE, frozen, nonce, _soon(), approval) {
            return true;
        } catch {
            return false;
        }
    }

    function _newKey(uint256 seed) private view returns (uint256) {
        return 1 + uint256(keccak256(abi.encode("key", seed, _former.length))) % 2 ** 255;
    }
}
