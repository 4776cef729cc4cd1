// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessLog} from "../../contracts/AccessLog.sol";
import {Authorizations} from "../../contracts/Authorizations.sol";
import {IAccessLog} from "../../contracts/interfaces/IAccessLog.sol";
import {IAuthorizations} from "../../contracts/interfaces/IAuthorizations.sol";
import {ISubjects} from "../../contracts/interfaces/ISubjects.sol";
import {AgreementId, AuthorizationId, Class, DatasetId, OrderId, Outcome} from "../../contracts/libraries/Types.sol";
import {Powers} from "./Powers.sol";
import {Signed} from "./Signed.sol";
import {VM, Vm} from "./Vm.sol";

/// @title A city in which anything may happen in any order: acts of one person, of consumers, and of the powerful.
/// @notice The runner calls `acts` at random. Beside the contracts this keeps a book of its own, by other means than theirs, and
/// counts how often a promise was broken.
contract History is Powers {
    /// @param era Recoveries completed when it was granted; `valid` the same when it was confirmed last.
    struct Given {
        uint32 maxUses;
        uint32 allowed;
        uint256 era;
        uint256 valid;
        bool revoked;
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

    uint256 private _clock;
    uint256[] private _keys; // Alice's, one for each era; the last one is hers now
    bool private _frozen;
    bytes32 private _parking;

    /// @dev Each act happens at the book's time, and nothing but recording moves the log.
    modifier anAct() {
        VM.warp(_clock);
        _;
        (uint256 foundSequence, bytes32 foundHead) = accessLog.state();
        if (foundSequence != sequence || foundHead != head) ++rewritten;
    }

    function setUp() public override {
        super.setUp();
        _clock = _now();
        _keys.push(ALICE_KEY);
        _parking = DatasetId.unwrap(_register("parking", Class.Unconditional, false));
    }

    /// @dev Some more than once: the more often, the likelier.
    function acts() external pure returns (bytes4[] memory selectors) {
        bytes4[16] memory chosen = [
            this.grants.selector,
            this.grants.selector,
            this.grants.selector,
            this.uses.selector,
            this.uses.selector,
            this.uses.selector,
            this.revokes.selector,
            this.freezes.selector,
            this.unfreezes.selector,
            this.unfreezes.selector,
            this.rotates.selector,
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

    function accessLogOf() external view returns (AccessLog) {
        return accessLog;
    }

    function authorizationsOf() external view returns (Authorizations) {
        return authorizations;
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
        if (seed >> 32 & 3 == 0) (terms.notBefore, terms.expiresAt) = (_now() + 1 hours, _now() + 2 days);
        ISubjects.Approval memory approval = _by(_key(), Signed.authorization(terms));
        try authorizations.grant(terms, approval) returns (AuthorizationId authorization) {
            ids.push(authorization);
            given[authorization] = Given(terms.maxUses, 0, _era(), _era(), false);
        } catch {}
    }

    /// @dev With her key, or with one that recovery took from her after she granted it.
    function revokes(uint256 seed) external anAct {
        if (ids.length == 0) return;
        AuthorizationId authorization = ids[seed % ids.length];
        Given storage found = given[authorization];
        if (found.revoked) return;
        uint256 key = _keys[found.era + (seed >> 8) % (_keys.length - found.era)];
        ISubjects.Approval memory approval = _by(key, Signed.revocation(ALICE, authorization, _soon()));
        try authorizations.revoke(ALICE, authorization, _soon(), approval) {
            found.revoked = true;
        } catch {
            ++stopsRefused;
        }
    }

    function freezes(uint256) external anAct {
        if (_setFrozenByHer(true)) _frozen = true;
        else ++stopsRefused;
    }

    function unfreezes(uint256) external anAct {
        if (_setFrozenByHer(false)) _frozen = false;
    }

    function rotates(uint256 seed) external anAct {
        bytes32 nonce = _random();
        uint256 next = _newKey(seed);
        bytes32 structHash = Signed.rotation(ALICE, _account(next), nonce, _soon());
        try authorizations.rotateSigner(ALICE, _account(next), nonce, _soon(), _by(_key(), structHash)) {
            _keys[_keys.length - 1] = next;
        } catch {}
    }

    /// @dev Starts a recovery, completes one that is due, or vetoes it.
    function recovers(uint256 seed) external anAct {
        ISubjects.SubjectState memory state = authorizations.subjectOf(ALICE);
        uint256 next = _newKey(_era());
        if (state.recoveryAt == 0 && seed % 4 != 0) return;
        if (state.recoveryAt == 0) {
            bytes memory start = abi.encodeCall(authorizations.startRecovery, (ALICE, _account(next)));
            _try(identity, address(authorizations), start);
        } else if (seed % 3 == 0) {
            bytes32 nonce = _random();
            ISubjects.Approval memory approval = _by(_key(), Signed.veto(ALICE, _account(next), nonce, _soon()));
            try authorizations.vetoRecovery(ALICE, _account(next), nonce, _soon(), approval) {} catch {}
        } else {
            try authorizations.completeRecovery(ALICE) {
                _keys.push(next);
            } catch {}
        }
    }

    function confirms(uint256 seed) external anAct {
        if (ids.length == 0) return;
        AuthorizationId authorization = ids[seed % ids.length];
        ISubjects.Approval memory approval = _by(_key(), Signed.confirmation(ALICE, authorization, _soon()));
        try authorizations.confirm(ALICE, authorization, _soon(), approval) {
            given[authorization].valid = _era();
        } catch {}
    }

    // The others

    function uses(uint256 seed) external anAct {
        IAccessLog.Request[] memory requests = new IAccessLog.Request[](1 + seed % 4);
        for (uint256 i = 0; i < requests.length; ++i) {
            requests[i] = _anyRequest(uint256(keccak256(abi.encode(seed, i))));
        }
        IAccessLog.Batch[] memory batches = _batch(seed >> 8 & 7 == 0 ? insurer : bank, requests);
        VM.recordLogs();
        if (!_try(recorder, address(accessLog), abi.encodeCall(accessLog.record, (batches)))) return;
        Vm.Log[] memory logs = VM.getRecordedLogs();
        for (uint256 i = 0; i < requests.length; ++i) {
            _enter(logs[i]);
        }
    }

    function powersAct(uint256 seed) external anAct {
        uint256 who = seed % 4;
        if (who == 0) _authorityActs(seed >> 8);
        else if (who == 1) _providerActs(seed >> 8);
        else if (who == 2) _regulatorActs(seed >> 8);
        else _strangerActs(seed >> 8, ids.length == 0 ? AuthorizationId.wrap(0) : ids[seed % ids.length]);
    }

    function timePasses(uint256 seed) external {
        _clock += seed % 8 == 0 ? RECOVERY_DELAY : seed % 1 hours;
    }

    // The book

    function _enter(Vm.Log memory log) private {
        Seen memory access = _read(log);
        if (access.sequence != sequence + 1) ++gaps;
        sequence = access.sequence;
        head = keccak256(abi.encodePacked(head, log.topics[1], log.data));
        ++seen[access.outcome];
        Given storage found = given[AuthorizationId.wrap(access.basis)];
        if (access.outcome != Outcome.Allowed || found.maxUses == 0) return;
        ++found.allowed;
        bool recovering = authorizations.subjectOf(ALICE).recoveryAt != 0;
        if (found.revoked || _frozen || recovering || found.valid != _era()) ++allowedWhileStopped;
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

    function _setFrozenByHer(bool frozen) private returns (bool) {
        bytes32 nonce = _random();
        ISubjects.Approval memory approval = _by(_key(), Signed.freeze(ALICE, frozen, nonce, _soon()));
        try authorizations.setFrozen(ALICE, frozen, nonce, _soon(), approval) {
            return true;
        } catch {
            return false;
        }
    }

    function _key() private view returns (uint256) {
        return _keys[_keys.length - 1];
    }

    function _era() private view returns (uint256) {
        return _keys.length - 1;
    }

    function _newKey(uint256 seed) private pure returns (uint256) {
        return 1 + uint256(keccak256(abi.encode("key", seed))) % 2 ** 255;
    }
}
