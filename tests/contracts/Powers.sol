// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessLog} from "../../contracts/interfaces/IAccessLog.sol";
import {ICatalogue} from "../../contracts/interfaces/ICatalogue.sol";
import {IRegistry} from "../../contracts/interfaces/IRegistry.sol";
import {AuthorizationId, Class, OrderId, SubjectId} from "../../contracts/libraries/Types.sol";
import {Fixture} from "./Fixture.sol";
import {VM} from "./Vm.sol";

/// @title What the authority, the provider, the regulator, the identity authority and anyone else may try, at random.
/// @notice Whether the contracts take it or refuse it is their business; what must not happen is seen elsewhere.
abstract contract Powers is Fixture {
    OrderId[] internal orders;

    // What the book must know of their acts.
    uint256 internal withdrawals; // of the bank's agreement
    uint256 internal suspendedUntil;

    function _authorityActs(uint256 seed) internal {
        uint256 act = seed % 8;
        address party = seed >> 8 & 1 == 0 ? bank : _party(seed >> 9);
        if (act == 0) _try(registry.authority(), address(registry), abi.encodeCall(registry.withdraw, (party)));
        else if (act == 1) _issueOrder(seed >> 8);
        else if (act == 2 && orders.length != 0) _endOrder(orders[orders.length - 1]);
        else if (act == 3) _handOver(seed >> 8);
        else if (act == 4 && seed >> 8 & 0xff == 0) _retirePurpose();
        else if (act > 5) _admitAllAgain();
    }

    function _providerActs(uint256 seed) internal {
        Class sharing = seed >> 8 & 3 == 0 ? Class.NotShared : Class.Conditional;
        bytes memory reclassify = abi.encodeCall(catalogue.reclassify, (land, sharing, Class.NotShared, 3, "a leak"));
        bytes memory withdraw = abi.encodeCall(agreements.withdrawAgreement, (landForLoan, "no need"));
        uint256 act = seed % 4;
        if (act == 0) _try(provider, address(catalogue), reclassify);
        else if (act == 1 && seed >> 8 & 7 == 0) withdrawals += _try(provider, address(agreements), withdraw) ? 1 : 0;
        else if (act == 2 && seed >> 8 & 0xff == 0) _withdrawDataset();
        else try this.agreeAgain(seed >> 8) {} catch {}
    }

    function _regulatorActs(uint256 seed) internal {
        address by = seed >> 8 & 1 == 0 ? regulator : otherRegulator;
        uint64 until = _now() + uint64(seed >> 8) % 1 days;
        bytes memory act = abi.encodeCall(registry.lift, (bank, "the appeal was right"));
        if (seed % 3 == 0) act = abi.encodeCall(registry.restrict, (bank, until, "too much, too fast"));
        _try(by, address(registry), act);
        _lookAtSuspension(by);
        if (seed >> 16 & 3 == 0) _vetoHandOver(by, seed >> 18);
        if (orders.length == 0) return;
        OrderId order = orders[orders.length - 1];
        _try(by, address(catalogue), abi.encodeCall(catalogue.countersignOrder, (order)));
        _try(by, address(catalogue), abi.encodeCall(catalogue.reviewOrder, (order, "used rightly")));
    }

    /// @dev A machine of the regulator's.
    function _machineActs(uint256 seed) internal {
        if (seed & 1 == 0) return;
        address machine = VM.addr(0x3ac);
        _try(regulator, address(agreements), abi.encodeCall(agreements.appointSupervisor, (machine)));
        bytes memory suspend = abi.encodeCall(agreements.suspendAgreement, (landForLoan, "too much, too fast"));
        if (_try(machine, address(agreements), suspend)) suspendedUntil = _now() + 30 minutes;
    }

    /// @dev Rather names a recorder than takes the naming back.
    function _consumerActs(uint256 seed) internal {
        address by = seed & 1 == 0 ? bank : insurer;
        bytes memory act = abi.encodeCall(registry.nameRecorder, (recorder));
        if (seed >> 1 & 7 == 0) act = abi.encodeCall(registry.dismissRecorder, (recorder));
        _try(by, address(registry), act);
    }

    /// @dev Anyone tries what only others may: to record, to use, to withdraw, to restrict, to register, to take over.
    function _strangerActs(uint256 seed, AuthorizationId authorization) internal {
        address who = _party(seed >> 8);
        IAccessLog.Batch[] memory batches = new IAccessLog.Batch[](0);
        SubjectId[] memory subjects = new SubjectId[](1);
        subjects[0] = ALICE;
        bytes[] memory signers = new bytes[](1);
        signers[0] = abi.encodePacked(who);
        uint256 act = seed % 5;
        if (act == 0) _try(stranger, address(accessLog), abi.encodeCall(accessLog.record, (batches)));
        if (act == 1) _try(who, address(authorizations), abi.encodeCall(authorizations.use, (authorization, 1, 0, 0)));
        if (act == 2) _try(stranger, address(registry), abi.encodeCall(registry.withdraw, (identity)));
        if (act == 3) _try(who, address(authorizations), abi.encodeCall(authorizations.registerSubjects, (subjects, signers)));
        if (act == 4) _handOverBy(stranger, stranger);
    }

    /// @dev By a call of its own, so that it can fail as a whole.
    function agreeAgain(uint256 seed) external {
        _agree(BANK_KEY, land, loan, seed % 4 == 0 ? 0x03 : AGREED_FIELDS);
    }

    function _lookAtSuspension(address by) private {
        bytes memory look = abi.encodeCall(agreements.reviewSuspension, (landForLoan, 0, "looked at"));
        if (_try(by, address(agreements), look)) suspendedUntil = 0;
    }

    function _vetoHandOver(address by, uint256 seed) private {
        IRegistry.Change change = IRegistry.Change.Authority;
        bytes memory veto = abi.encodeCall(registry.vetoChange, (change, _party(seed), address(0), "a thief"));
        _try(by, address(registry), veto);
    }

    function _issueOrder(uint256 seed) private {
        ICatalogue.OrderTerms memory terms = _orderTerms(land, Class(seed % 3));
        (terms.endsAt, terms.nonce) = (_now() + 2 hours, _random());
        OrderId order = catalogue.orderId(terms);
        bytes memory issue = abi.encodeCall(catalogue.issueOrder, (terms));
        if (_try(registry.authority(), address(catalogue), issue)) orders.push(order);
    }

    function _endOrder(OrderId order) private {
        bytes memory end = abi.encodeCall(catalogue.endOrder, (order, "the water is gone"));
        _try(registry.authority(), address(catalogue), end);
    }

    /// @dev To somebody and back again: announced, and made when due.
    function _handOver(uint256 seed) private {
        address now_ = registry.authority();
        _handOverBy(now_, now_ == authority ? _party(seed) : authority);
    }

    function _handOverBy(address by, address next) private {
        IRegistry.Change change = IRegistry.Change.Authority;
        _try(by, address(registry), abi.encodeCall(registry.announceChange, (change, next, address(0))));
        _try(next, address(registry), abi.encodeCall(registry.makeChange, (change, next, address(0))));
    }

    function _retirePurpose() private {
        _try(registry.authority(), address(agreements), abi.encodeCall(agreements.retirePurpose, (loan)));
    }

    function _withdrawDataset() private {
        _try(provider, address(catalogue), abi.encodeCall(catalogue.withdrawDataset, (land, "closed")));
    }

    /// @dev The roles that wait are announced, and made when due.
    function _admitAllAgain() private {
        address[7] memory parties = [provider, regulator, otherRegulator, recorder, identity, bank, insurer];
        uint8[7] memory roles = [1, 4, 4, 8, 32, 2, 2];
        for (uint256 i = 0; i < 7; ++i) {
            if (_try(stranger, address(registry), abi.encodeCall(registry.activate, (parties[i])))) continue;
            if (registry.admissionOf(parties[i]).effectiveAt != 0 || registry.standingOf(parties[i]).active) continue;
            bytes memory admit = abi.encodeCall(registry.admit, (parties[i], roles[i], _nameOf(parties[i])));
            _try(registry.authority(), address(registry), admit);
        }
    }

    function _party(uint256 seed) private view returns (address) {
        return [authority, provider, regulator, recorder, identity, bank, insurer, stranger][seed % 8];
    }

    function _try(address by, address what, bytes memory data) internal returns (bool done) {
        VM.prank(by);
        (done,) = what.call(data);
    }
}
