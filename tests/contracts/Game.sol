// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAuthorizations} from "../../contracts/interfaces/IAuthorizations.sol";
import {ISubjects} from "../../contracts/interfaces/ISubjects.sol";
import {Fixture} from "./Fixture.sol";
import {Signed} from "./Signed.sol";
import {VM} from "./Vm.sol";

/// @title One id as a game: keys, guardians and the registrar act in any order, and a model says what must come of it.
/// @notice The model is the table of ISubjects, written down a second time with the plainest state: what each key may do, until when.
/// Keys 1 to 4 may be the person's or a thief's, 3 to 6 guardians; few, so that each is everything once.
contract Game is Fixture {
    struct Model {
        uint256 current;
        bool frozen;
        uint256 frozenBy; // a key, zero for nobody
        uint64 liftableAt;
        uint64 recoveryAt;
        uint256 pending;
        bool closed;
        uint24 epoch;
    }

    uint256 private constant KEYS = 6;
    uint64 private constant ALWAYS = type(uint64).max;

    /// @notice How often contract and model differed: in what they took, or in what came of it.
    uint256 public differences;
    /// @notice How often somebody consented while stopped, or lifted what was not theirs to lift yet.
    uint256 public broken;
    mapping(bytes4 act => uint256 times) public taken;
    mapping(bytes4 act => uint256 times) public refused;

    Model private _model;
    uint64[KEYS + 1] private _replacedUntil;
    uint64[KEYS + 1] private _consentUntil; // as guardian
    uint64[KEYS + 1] private _stopUntil; // as guardian
    // The freezes since it was last lifted, as each was signed: who has which right later changes nothing of them.
    uint64 private _heldUntil;
    uint64 private _heldByReplacedUntil;
    uint256 private _heldBy;
    bool private _heldBySeveral;
    bool private _heldByStopper; // who could not consent, or was a replaced key
    uint256 private _clock;

    /// @dev An act at the game's time; after it both sides must be the same in every part.
    modifier anAct() {
        VM.warp(_clock);
        _;
        _compare();
    }

    function setUp() public override {
        super.setUp();
        _clock = _now();
        _model.current = 1;
        _rotate(ALICE_KEY, _keyOf(1));
        VM.warp(START + 40 days); // the first key may do nothing any more
        _clock = START + 40 days;
    }

    function acts() public pure returns (bytes4[] memory selectors) {
        bytes4[11] memory chosen = [
            this.freezes.selector,
            this.unfreezes.selector,
            this.consents.selector,
            this.rotates.selector,
            this.appoints.selector,
            this.startsRecovery.selector,
            this.vetoes.selector,
            this.completes.selector,
            this.closes.selector,
            this.opens.selector,
            this.timePasses.selector
        ];
        selectors = new bytes4[](chosen.length);
        for (uint256 i = 0; i < chosen.length; ++i) {
            selectors[i] = chosen[i];
        }
    }

    function freezes(uint256 seed) external anAct {
        uint256 who = _who(seed);
        bool may = _stop(who) > _now();
        if (!_agree(this.freezes.selector, may, _setsFrozen(who, true))) return;
        bool replaced = who != _model.current && _replacedUntil[who] > _now();
        uint64 liftableAt = replaced ? _replacedUntil[who] : _now() + RECOVERY_DELAY;
        if (_model.frozen && _model.liftableAt > liftableAt) liftableAt = _model.liftableAt;
        bool stopsOnly = replaced || _consent(who) <= _now();
        _model.frozenBy = stopsOnly || (_model.frozen && _model.frozenBy != who) ? 0 : who;
        (_model.frozen, _model.liftableAt) = (true, liftableAt);

        // And once more, by what the promise says: each stop holds until the end that it was given.
        if (_heldUntil != 0 && _heldBy != who) _heldBySeveral = true;
        if (stopsOnly) _heldByStopper = true;
        _heldBy = who;
        if (replaced && _replacedUntil[who] > _heldByReplacedUntil) _heldByReplacedUntil = _replacedUntil[who];
        uint64 end = replaced ? _replacedUntil[who] : _now() + RECOVERY_DELAY;
        if (end > _heldUntil) _heldUntil = end;
    }

    function unfreezes(uint256 seed) external anAct {
        uint256 who = _who(seed);
        bool replaced = who != _model.current && _replacedUntil[who] > _now();
        bool own = _model.frozenBy == who && !replaced && _consent(who) > _now();
        bool may = _model.frozen && (own || (who == _model.current && _model.liftableAt <= _now()));
        if (!_agree(this.unfreezes.selector, may, _setsFrozen(who, false))) return;
        (_model.frozen, _model.frozenBy, _model.liftableAt) = (false, 0, 0);

        bool hisAlone = !_heldBySeveral && !_heldByStopper && _heldBy == who && _consent(who) > _now();
        if (replaced || (!hisAlone && (who != _model.current || _heldUntil > _now()))) ++broken;
        if (_heldByReplacedUntil > _now()) ++broken; // whoever lifts, as whatever
        (_heldUntil, _heldByReplacedUntil, _heldBy) = (0, 0, 0);
        (_heldBySeveral, _heldByStopper) = (false, false);
    }

    function consents(uint256 seed) external anAct {
        uint256 who = _who(seed);
        bool halted = _model.frozen || _model.closed || _model.recoveryAt != 0;
        if (!_agree(this.consents.selector, !halted && _consent(who) > _now(), _grants(who))) return;
        if (_heldUntil != 0) ++broken; // nobody lifted it
    }

    function rotates(uint256 seed) external anAct {
        (uint256 who, uint256 next) = (_who(seed), 1 + (seed >> 8) % 4);
        bool may = who == _model.current && !_model.closed && _model.recoveryAt == 0;
        if (_agree(this.rotates.selector, may, _rotates(who, next))) _replace(next, 30 days);
    }

    /// @dev Also dismisses, and gives another end.
    function appoints(uint256 seed) external anAct {
        (uint256 who, uint256 guardian) = (_who(seed), 3 + (seed >> 8) % 4);
        uint64 end = seed >> 16 & 3 == 0 ? 0 : _now() + 1 + uint64(seed >> 18) % 9 days;
        bool may = who == _model.current && !_model.closed && _model.recoveryAt == 0;
        if (!_agree(this.appoints.selector, may, _appoints(who, guardian, end))) return;
        uint64 stopUntil = _stopUntil[guardian] > _now() ? _now() + RECOVERY_DELAY : 0;
        (_consentUntil[guardian], _stopUntil[guardian]) = (end, stopUntil > end ? stopUntil : end);
    }

    function startsRecovery(uint256 seed) external anAct {
        uint256 next = 1 + seed % 4;
        bool may = !_model.closed && _model.recoveryAt == 0;
        bool done = _byRegistrar(abi.encodeCall(authorizations.startRecovery, (ALICE, _account(_keyOf(next)))));
        if (!_agree(this.startsRecovery.selector, may, done)) return;
        (_model.recoveryAt, _model.pending) = (_now() + RECOVERY_DELAY, next);
    }

    function vetoes(uint256 seed) external anAct {
        uint256 who = _who(seed);
        bool may = who == _model.current && _model.recoveryAt > _now();
        if (_agree(this.vetoes.selector, may, _vetoes(who))) (_model.recoveryAt, _model.pending) = (0, 0);
    }

    function completes(uint256) external anAct {
        bool may = _model.recoveryAt != 0 && _model.recoveryAt <= _now();
        bool done = _call(address(this), abi.encodeCall(authorizations.completeRecovery, (ALICE)));
        if (!_agree(this.completes.selector, may, done)) return;
        ++_model.epoch;
        _replace(_model.pending, 365 days);
        (_model.recoveryAt, _model.pending) = (0, 0);
    }

    function closes(uint256 seed) external anAct {
        if (seed % 4 != 0) return;
        bool done = _byRegistrar(abi.encodeCall(authorizations.closeSubject, (ALICE)));
        if (!_agree(this.closes.selector, !_model.closed, done)) return;
        (_model.closed, _model.recoveryAt, _model.pending) = (true, 0, 0);
    }

    function opens(uint256 seed) external anAct {
        uint256 who = _who(seed);
        bytes32 nonce = _random();
        ISubjects.Approval memory approval = _by(_keyOf(who), Signed.opening(ALICE, nonce, _soon()));
        bytes memory data = abi.encodeCall(authorizations.openSubject, (ALICE, nonce, _soon(), approval));
        bool may = _model.closed && who == _model.current;
        if (_agree(this.opens.selector, may, _byRegistrar(data))) _model.closed = false;
    }

    /// @dev Seconds, hours, a delay, or more than a month.
    function timePasses(uint256 seed) external anAct {
        uint64[4] memory steps = [uint64(seed >> 8) % 1 hours, 1 days, RECOVERY_DELAY, 31 days];
        _clock += steps[seed % 4];
    }

    // The model

    function _replace(uint256 next, uint64 stopTime) private {
        uint64 end = _now() + stopTime;
        if (end > _replacedUntil[_model.current]) _replacedUntil[_model.current] = end;
        _model.current = next;
        for (uint256 who = 1; who <= KEYS; ++who) {
            _consentUntil[who] = 0;
            if (_stopUntil[who] > _now() + RECOVERY_DELAY) _stopUntil[who] = _now() + RECOVERY_DELAY;
        }
    }

    function _consent(uint256 who) private view returns (uint64) {
        return who == _model.current ? ALWAYS : _consentUntil[who];
    }

    function _stop(uint256 who) private view returns (uint64) {
        if (who == _model.current) return ALWAYS;
        return _replacedUntil[who] > _stopUntil[who] ? _replacedUntil[who] : _stopUntil[who];
    }

    // Both sides

    function _agree(bytes4 act, bool expected, bool done) private returns (bool) {
        if (expected != done) ++differences;
        if (done) ++taken[act];
        else ++refused[act];
        return done;
    }

    function _compare() private {
        ISubjects.SubjectState memory state = authorizations.subjectOf(ALICE);
        bool same = state.frozen == _model.frozen && state.closed == _model.closed && state.epoch == _model.epoch;
        same = same && state.recoveryAt == _model.recoveryAt && state.liftableAt == _model.liftableAt;
        same = same && keccak256(state.signer) == _hashOf(_model.current);
        same = same && state.frozenBy == (_model.frozenBy == 0 ? bytes32(0) : _hashOf(_model.frozenBy));
        for (uint256 who = 1; who <= KEYS; ++who) {
            (uint64 consentUntil, uint64 stopUntil) = authorizations.rightsOf(ALICE, _account(_keyOf(who)));
            same = same && consentUntil == _consent(who) && stopUntil == _stop(who);
        }
        if (!same) ++differences;
    }

    function _setsFrozen(uint256 who, bool frozen) private returns (bool) {
        bytes32 nonce = _random();
        ISubjects.Approval memory approval = _by(_keyOf(who), Signed.freeze(ALICE, frozen, nonce, _soon()));
        return _call(
            address(this), abi.encodeCall(authorizations.setFrozen, (ALICE, frozen, nonce, _soon(), approval))
        );
    }

    function _grants(uint256 who) private returns (bool) {
        IAuthorizations.Authorization memory terms = _terms();
        ISubjects.Approval memory approval = _by(_keyOf(who), Signed.authorization(terms));
        return _call(address(this), abi.encodeCall(authorizations.grant, (terms, approval)));
    }

    function _rotates(uint256 who, uint256 next) private returns (bool) {
        (bytes32 nonce, bytes memory signer) = (_random(), _account(_keyOf(next)));
        ISubjects.Approval memory approval = _by(_keyOf(who), Signed.rotation(ALICE, signer, nonce, _soon()));
        return _call(
            address(this), abi.encodeCall(authorizations.rotateSigner, (ALICE, signer, nonce, _soon(), approval))
        );
    }

    function _appoints(uint256 who, uint256 guardian, uint64 end) private returns (bool) {
        (bytes32 nonce, bytes memory signer) = (_random(), _account(_keyOf(guardian)));
        ISubjects.Approval memory approval = _by(_keyOf(who), Signed.guardian(ALICE, signer, end, nonce, _soon()));
        bytes memory data =
            abi.encodeCall(authorizations.appointGuardian, (ALICE, signer, end, nonce, _soon(), approval));
        return _call(address(this), data);
    }

    function _vetoes(uint256 who) private returns (bool) {
        (bytes32 nonce, bytes memory signer) = (_random(), _account(_keyOf(_model.pending)));
        ISubjects.Approval memory approval = _by(_keyOf(who), Signed.veto(ALICE, signer, nonce, _soon()));
        return _call(
            address(this), abi.encodeCall(authorizations.vetoRecovery, (ALICE, signer, nonce, _soon(), approval))
        );
    }

    function _byRegistrar(bytes memory data) private returns (bool) {
        return _call(identity, data);
    }

    function _call(address by, bytes memory data) private returns (bool done) {
        VM.prank(by);
        (done,) = address(authorizations).call(data);
    }

    /// @dev Rather the current key than any other.
    function _who(uint256 seed) private view returns (uint256) {
        return seed >> 32 & 1 == 0 ? _model.current : 1 + seed % KEYS;
    }

    function _hashOf(uint256 who) private pure returns (bytes32) {
        return keccak256(_account(_keyOf(who)));
    }

    function _keyOf(uint256 who) private pure returns (uint256) {
        return 0x6a3e00 + who;
    }
}
