// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessLog} from "../../contracts/interfaces/IAccessLog.sol";
import {IAuthorizations} from "../../contracts/interfaces/IAuthorizations.sol";
import {IRegistry} from "../../contracts/interfaces/IRegistry.sol";
import {Grant} from "../../contracts/libraries/Grants.sol";
import {AuthorizationId, Outcome, Role} from "../../contracts/libraries/Types.sol";
import {Fixture} from "./Fixture.sol";
import {VM} from "./Vm.sol";

/// @title A use that was recorded and never served is given back, and never more than the person gave.
contract VoidsTest is Fixture {
    function test_only_a_regulator_gives_a_use_back() external {
        (IAuthorizations.Authorization memory terms,) = _used(1);
        _refused(abi.encodeWithSelector(IRegistry.RoleMissing.selector, bank, Role.Regulator));
        _voidBy(bank, 1, terms, uint32(START), 0);
        _withdrawParty(regulator);
        _refusesVoid(1, terms, 0, abi.encodeWithSelector(IRegistry.PartyInactive.selector, regulator));
    }

    function test_only_of_a_granted_authorization() external {
        _used(1);
        IAuthorizations.Authorization memory terms = _terms();
        _refusesVoid(1, terms, 0, _about(IAuthorizations.AuthorizationUnknown.selector, terms));
    }

    /// @dev The terms hash to the id, so a bound that is not the person's is another authorization's.
    function test_only_with_the_terms_that_the_person_signed() external {
        (IAuthorizations.Authorization memory terms,) = _used(1);
        terms.maxUses += 1;
        _refusesVoid(1, terms, 0, _about(IAuthorizations.AuthorizationUnknown.selector, terms));
    }

    function test_not_of_a_revoked_authorization() external {
        (IAuthorizations.Authorization memory terms, AuthorizationId authorization) = _used(1);
        _revoke(authorization);
        _refusesVoid(1, terms, 0, _about(IAuthorizations.AlreadyRevoked.selector, terms));
    }

    function test_only_an_access_that_was_recorded_is_voided() external {
        (IAuthorizations.Authorization memory terms,) = _used(2);
        _refusesVoid(0, terms, 0, abi.encodeWithSelector(IAuthorizations.AccessUnknown.selector, 0));
        _refusesVoid(3, terms, 0, abi.encodeWithSelector(IAuthorizations.AccessUnknown.selector, 3));
        uint256 last = type(uint256).max;
        _refusesVoid(last, terms, 0, abi.encodeWithSelector(IAuthorizations.AccessUnknown.selector, last));
        _void(2, terms, 0);
    }

    function test_an_access_is_voided_once() external {
        (IAuthorizations.Authorization memory terms, AuthorizationId authorization) = _used(2);
        _void(1, terms, 0);
        bytes memory again = abi.encodeWithSelector(IAuthorizations.AlreadyVoided.selector, authorization, 1);
        _refusesVoid(1, terms, 0, again);
    }

    /// @dev Else a thief of a regulator's key could have any access refused, and its one use never given back.
    function test_a_void_with_the_number_of_anothers_access_voids_nothing_of_the_other() external {
        (IAuthorizations.Authorization memory terms, AuthorizationId authorization) = _used(1);
        (IAuthorizations.Authorization memory foreign, AuthorizationId other) = _used(1);
        _void(1, foreign, 0);
        VM.assertTrue(!authorizations.isVoided(authorization, 1), "voided of who did not use it");
        VM.assertTrue(authorizations.isVoided(other, 1), "voided of whom it was said");
        _void(1, terms, 0);
        (Grant grant,) = authorizations.grantOf(authorization);
        VM.assertEq(grant.usesLeft(), terms.maxUses, "uses left");
    }

    /// @dev Which authorization an access was of is for replay; one that was not used has nothing to be given back.
    function test_a_foreign_authorization_that_was_not_used_gets_nothing() external {
        _used(1);
        IAuthorizations.Authorization memory foreign = _terms();
        _grant(foreign);
        _refusesVoid(1, foreign, 0, _about(IAuthorizations.NothingToVoid.selector, foreign));
    }

    function test_no_more_uses_come_back_than_the_person_gave() external {
        (IAuthorizations.Authorization memory terms,) = _used(2);
        _void(1, terms, 0);
        _void(2, terms, 0);
        _recordOther();
        _refusesVoid(3, terms, 0, _about(IAuthorizations.NothingToVoid.selector, terms));
    }

    /// @dev A regulator that gives back real accesses can double them at most.
    function test_one_authorization_is_given_back_to_as_often_as_it_has_uses() external {
        (IAuthorizations.Authorization memory terms, AuthorizationId authorization) = _used(3);
        for (uint256 i = 1; i <= 3; ++i) {
            _void(i, terms, 0);
            _expect(_use(authorization), Outcome.Allowed);
        }
        _refusesVoid(4, terms, 0, _about(IAuthorizations.NothingToVoid.selector, terms));
        _expect(_use(authorization), Outcome.UsesExhausted);
    }

    function test_the_last_use_is_not_moved_ahead() external {
        (IAuthorizations.Authorization memory terms,) = _used(1);
        uint32 ahead = uint32(START + 1);
        _refusesVoid(1, terms, ahead, abi.encodeWithSelector(IAuthorizations.LastUseTooLate.selector, ahead));
        _void(1, terms, uint32(START)); // as late as it was: another access in that second stands
    }

    /// @dev Else a use that is mined between judging and giving back would have its interval set back.
    function test_a_use_that_the_regulator_did_not_see_stops_giving_back() external {
        IAuthorizations.Authorization memory terms = _terms();
        (terms.minInterval, terms.maxUses) = (30 days, 3);
        terms.expiresAt = START + 80 days;
        AuthorizationId authorization = _grant(terms);
        _expect(_use(authorization), Outcome.Allowed);
        VM.warp(START + 30 days);
        _expect(_use(authorization), Outcome.Allowed); // while the regulator judged the first one
        bytes memory late = abi.encodeWithSelector(
            IAuthorizations.UsedSince.selector, authorization, uint32(START + 30 days)
        );
        _refused(late);
        _voidBy(regulator, 1, terms, uint32(START), 0);
        uint32 ahead = uint32(START + 30 days + 1);
        _refused(late);
        _voidBy(regulator, 1, terms, ahead, 0); // nor one that was not there
        _expect(_use(authorization), Outcome.TooSoon);

        _voidBy(regulator, 1, terms, uint32(START + 30 days), uint32(START + 30 days));
        (Grant grant,) = authorizations.grantOf(authorization);
        VM.assertTrue(grant.usesLeft() == 2 && grant.lastUse() == START + 30 days, "uses and last use");
        _expect(_use(authorization), Outcome.TooSoon);
    }

    function test_giving_back_has_a_reason() external {
        (IAuthorizations.Authorization memory terms,) = _used(1);
        _refused(abi.encodeWithSelector(IAuthorizations.EmptyReason.selector));
        VM.prank(regulator);
        authorizations.voidAccess(1, terms, uint32(START), 0, IAuthorizations.VoidGround.Unsigned, "");
    }

    function test_a_use_comes_back_with_the_last_use_before_it() external {
        IAuthorizations.Authorization memory terms = _terms();
        (terms.minInterval, terms.maxUses) = (30 days, 2);
        terms.expiresAt = START + 80 days;
        AuthorizationId authorization = _grant(terms);
        _expect(_use(authorization), Outcome.Allowed);
        VM.warp(START + 30 days);
        _expect(_use(authorization), Outcome.Allowed); // the invented one
        _expect(_use(authorization), Outcome.TooSoon);
        uint64 number = _emits(authorizations);
        emit IAuthorizations.AccessVoided(
            authorization,
            2,
            regulator,
            number,
            uint32(START),
            IAuthorizations.VoidGround.NeverHandedOut,
            "too few keyholders"
        );
        VM.prank(regulator);
        authorizations.voidAccess(
            2,
            terms,
            uint32(START + 30 days),
            uint32(START),
            IAuthorizations.VoidGround.NeverHandedOut,
            "too few keyholders"
        );

        (Grant grant,) = authorizations.grantOf(authorization);
        VM.assertTrue(grant.usesLeft() == 1 && grant.lastUse() == START, "uses and last use");
        VM.assertTrue(authorizations.isVoided(authorization, 2) && !authorizations.isVoided(authorization, 1), "voided");
        _expect(_use(authorization), Outcome.Allowed); // its interval is over since the first one
        _expect(_use(authorization), Outcome.TooSoon);
        _expectChained();
    }

    /// @dev One recorder used up 200 people's one-use authorizations in one transaction.
    function test_burnt_uses_are_given_back() external {
        IAuthorizations.Authorization[] memory terms = new IAuthorizations.Authorization[](20);
        IAccessLog.Request[] memory requests = new IAccessLog.Request[](20);
        for (uint256 i = 0; i < 20; ++i) {
            terms[i] = _terms();
            (terms[i].maxUses, terms[i].minInterval) = (1, 30 days);
            requests[i] = _request(_grant(terms[i]));
        }
        _record(_batch(bank, requests));
        for (uint256 i = 0; i < 20; ++i) {
            _void(i + 1, terms[i], 0);
            _expect(_use(authorizations.authorizationId(terms[i])), Outcome.Allowed);
        }
    }

    function _used(uint256 times) private returns (IAuthorizations.Authorization memory terms, AuthorizationId id) {
        terms = _terms();
        id = _grant(terms);
        for (uint256 i = 0; i < times; ++i) {
            _expect(_use(id), Outcome.Allowed);
        }
    }

    function _recordOther() private {
        _expect(_outcome(bank, _request(bytes32("unknown"))), Outcome.UnknownBasis);
    }

    function _void(uint256 sequence, IAuthorizations.Authorization memory terms, uint32 lastUse) private {
        _voidBy(regulator, sequence, terms, _lastUse(terms), lastUse);
    }

    function _voidBy(
        address by,
        uint256 sequence,
        IAuthorizations.Authorization memory terms,
        uint32 seen,
        uint32 lastUse
    ) private {
        VM.prank(by);
        authorizations.voidAccess(
            sequence, terms, seen, lastUse, IAuthorizations.VoidGround.Unsigned, "no signature in any journal"
        );
    }

    function _refusesVoid(
        uint256 sequence,
        IAuthorizations.Authorization memory terms,
        uint32 lastUse,
        bytes memory reason
    ) private {
        uint32 seen = _lastUse(terms);
        _refused(reason);
        _voidBy(regulator, sequence, terms, seen, lastUse);
    }

    function _lastUse(IAuthorizations.Authorization memory terms) private view returns (uint32) {
        (Grant grant,) = authorizations.grantOf(authorizations.authorizationId(terms));
        return grant.lastUse();
    }

    function _about(bytes4 selector, IAuthorizations.Authorization memory terms) private view returns (bytes memory) {
        return abi.encodeWithSelector(selector, authorizations.authorizationId(terms));
    }
}
