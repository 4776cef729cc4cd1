// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICatalogue} from "../../contracts/interfaces/ICatalogue.sol";
import {IRegistry} from "../../contracts/interfaces/IRegistry.sol";
import {Class, DatasetId, Outcome, Role} from "../../contracts/libraries/Types.sol";
import {Fixture} from "./Fixture.sol";
import {VM} from "./Vm.sol";

contract CatalogueTest is Fixture {
    DatasetId private constant NONE = DatasetId.wrap(keccak256("no dataset"));

    // registerDataset

    function test_only_a_provider_registers() external {
        ICatalogue.DatasetTerms memory terms = _datasetTerms("roads", Class.Conditional, false);
        _refused(abi.encodeWithSelector(IRegistry.RoleMissing.selector, bank, Role.Provider));
        VM.prank(bank);
        catalogue.registerDataset(terms);
    }

    function test_a_dataset_has_a_code() external {
        _refusesToRegister(
            _datasetTerms("", Class.Conditional, false), abi.encodeWithSelector(ICatalogue.EmptyCode.selector)
        );
    }

    function test_a_dataset_has_a_field() external {
        ICatalogue.DatasetTerms memory terms = _datasetTerms("roads", Class.Conditional, false);
        terms.fields = new string[](0);
        _refusesToRegister(terms, abi.encodeWithSelector(ICatalogue.FieldCountOutOfRange.selector, 0));
    }

    function test_a_dataset_has_no_more_fields_than_a_bitmap() external {
        ICatalogue.DatasetTerms memory terms = _datasetTerms("roads", Class.Conditional, false);
        terms.fields = new string[](257);
        _refusesToRegister(terms, abi.encodeWithSelector(ICatalogue.FieldCountOutOfRange.selector, 257));
    }

    function test_each_field_has_a_name() external {
        ICatalogue.DatasetTerms memory terms = _datasetTerms("roads", Class.Conditional, false);
        terms.fields[3] = "";
        _refusesToRegister(terms, abi.encodeWithSelector(ICatalogue.EmptyField.selector, 3));
    }

    /// @dev Equal names would make a statement that says less than it opens.
    function test_no_two_fields_have_one_name() external {
        ICatalogue.DatasetTerms memory terms = _datasetTerms("roads", Class.Conditional, false);
        terms.fields[11] = terms.fields[0];
        _refusesToRegister(terms, abi.encodeWithSelector(ICatalogue.FieldRepeated.selector, 11));
        terms = _datasetTerms("roads", Class.Conditional, false);
        terms.fields[4] = terms.fields[3];
        _refusesToRegister(terms, abi.encodeWithSelector(ICatalogue.FieldRepeated.selector, 4));
    }

    function test_grades_begin_at_one() external {
        ICatalogue.DatasetTerms memory terms = _datasetTerms("roads", Class.Conditional, false);
        terms.grade = 0;
        _refusesToRegister(terms, abi.encodeWithSelector(ICatalogue.GradeOutOfRange.selector, uint8(0)));
    }

    function test_grades_end_at_four() external {
        ICatalogue.DatasetTerms memory terms = _datasetTerms("roads", Class.Conditional, false);
        terms.grade = 5;
        _refusesToRegister(terms, abi.encodeWithSelector(ICatalogue.GradeOutOfRange.selector, uint8(5)));
    }

    function test_personal_data_are_never_unconditional() external {
        _refusesToRegister(
            _datasetTerms("roads", Class.Unconditional, true),
            abi.encodeWithSelector(ICatalogue.PersonalDataUnconditional.selector)
        );
    }

    function test_a_dataset_is_registered_once() external {
        _refusesToRegister(
            _datasetTerms("land", Class.Conditional, true),
            abi.encodeWithSelector(ICatalogue.DatasetExists.selector, land)
        );
    }

    function test_a_registered_dataset_is_known_by_provider_and_code() external {
        ICatalogue.DatasetTerms memory terms = _datasetTerms("roads", Class.Unconditional, false);
        DatasetId expected = catalogue.datasetId(provider, "roads");
        uint64 number = _emits(catalogue);
        emit ICatalogue.DatasetRegistered(expected, provider, number, terms);
        DatasetId roads = _register("roads", Class.Unconditional, false);

        VM.assertEq(DatasetId.unwrap(roads), DatasetId.unwrap(expected), "id");
        ICatalogue.DatasetState memory state = catalogue.datasetOf(roads);
        VM.assertEq(state.provider, provider, "provider");
        VM.assertTrue(state.active && state.shared && !state.personal, "flags");
        VM.assertEq(state.fieldCount, 12, "fields");
        VM.assertEq(uint256(state.sharing), uint256(Class.Unconditional), "sharing");
        VM.assertEq(uint256(state.open), uint256(Class.NotShared), "open");
        VM.assertEq(state.grade, 3, "grade");
        VM.assertEq(state.publications, 0, "publications");
        _expect(_outcome(bank, _request(DatasetId.unwrap(roads))), Outcome.Allowed);
        _expectChained();
    }

    function test_two_providers_may_use_the_same_code() external {
        _admit(stranger, Role.Provider);
        ICatalogue.DatasetTerms memory terms = _datasetTerms("land", Class.Conditional, true);
        VM.prank(stranger);
        DatasetId other = catalogue.registerDataset(terms);
        VM.assertTrue(DatasetId.unwrap(other) != DatasetId.unwrap(land), "two ids");
    }

    // reclassify

    function test_only_a_known_dataset_is_reclassified() external {
        _refused(abi.encodeWithSelector(ICatalogue.DatasetUnknown.selector, NONE));
        VM.prank(provider);
        catalogue.reclassify(NONE, Class.NotShared, Class.NotShared, 3, "a leak");
    }

    function test_only_its_provider_reclassifies_a_dataset() external {
        _refused(abi.encodeWithSelector(ICatalogue.NotProvider.selector, authority, land));
        VM.prank(authority);
        catalogue.reclassify(land, Class.NotShared, Class.NotShared, 3, "a leak");
    }

    function test_a_withdrawn_provider_changes_nothing() external {
        VM.prank(authority);
        registry.withdraw(provider);
        _refused(abi.encodeWithSelector(IRegistry.PartyInactive.selector, provider));
        VM.prank(provider);
        catalogue.reclassify(land, Class.NotShared, Class.NotShared, 3, "a leak");
    }

    function test_a_withdrawn_dataset_is_not_reclassified() external {
        _withdrawLand();
        _refused(abi.encodeWithSelector(ICatalogue.DatasetAlreadyWithdrawn.selector, land));
        VM.prank(provider);
        catalogue.reclassify(land, Class.NotShared, Class.NotShared, 3, "a leak");
    }

    function test_reclassifying_has_a_reason() external {
        _refused(abi.encodeWithSelector(ICatalogue.EmptyReason.selector));
        VM.prank(provider);
        catalogue.reclassify(land, Class.NotShared, Class.NotShared, 3, "");
    }

    function test_personal_data_do_not_become_unconditional() external {
        _refused(abi.encodeWithSelector(ICatalogue.PersonalDataUnconditional.selector));
        VM.prank(provider);
        catalogue.reclassify(land, Class.Unconditional, Class.NotShared, 3, "why not");
    }

    function test_a_dataset_not_shared_serves_nobody() external {
        uint64 number = _emits(catalogue);
        emit ICatalogue.DatasetReclassified(land, number, Class.NotShared, Class.Conditional, 4, "a leak");
        VM.prank(provider);
        catalogue.reclassify(land, Class.NotShared, Class.Conditional, 4, "a leak");

        ICatalogue.DatasetState memory state = catalogue.datasetOf(land);
        VM.assertTrue(state.active && !state.shared, "flags");
        VM.assertEq(uint256(state.open), uint256(Class.Conditional), "open");
        VM.assertEq(state.grade, 4, "grade");
        _expect(_use(_granted()), Outcome.DatasetInactive);
        _expectChained();
    }

    // withdrawDataset

    function test_only_its_provider_withdraws_a_dataset() external {
        _refused(abi.encodeWithSelector(ICatalogue.NotProvider.selector, bank, land));
        VM.prank(bank);
        catalogue.withdrawDataset(land, "closed");
    }

    function test_a_dataset_is_withdrawn_once() external {
        _withdrawLand();
        _refused(abi.encodeWithSelector(ICatalogue.DatasetAlreadyWithdrawn.selector, land));
        VM.prank(provider);
        catalogue.withdrawDataset(land, "closed");
    }

    function test_withdrawing_a_dataset_has_a_reason() external {
        _refused(abi.encodeWithSelector(ICatalogue.EmptyReason.selector));
        VM.prank(provider);
        catalogue.withdrawDataset(land, "");
    }

    function test_a_withdrawn_dataset_serves_nobody_and_keeps_its_history() external {
        _publish(0);
        uint64 number = _emits(catalogue);
        emit ICatalogue.DatasetWithdrawn(land, number, "closed");
        _withdrawLand();

        ICatalogue.DatasetState memory state = catalogue.datasetOf(land);
        VM.assertTrue(!state.active && !state.shared, "flags");
        VM.assertEq(catalogue.publicationOf(land, 1).root, "root", "publication");
        _expect(_use(_granted()), Outcome.DatasetInactive);
        _expectChained();
    }

    // publish

    function test_only_its_provider_publishes() external {
        _refused(abi.encodeWithSelector(ICatalogue.NotProvider.selector, bank, land));
        VM.prank(bank);
        catalogue.publish(land, "root", 10, 0, 0);
    }

    function test_a_withdrawn_dataset_is_not_published() external {
        _withdrawLand();
        _refused(abi.encodeWithSelector(ICatalogue.DatasetAlreadyWithdrawn.selector, land));
        VM.prank(provider);
        catalogue.publish(land, "root", 10, 0, 0);
    }

    function test_a_publication_has_a_root() external {
        _refused(abi.encodeWithSelector(ICatalogue.EmptyRoot.selector));
        VM.prank(provider);
        catalogue.publish(land, 0, 10, 0, 0);
    }

    function test_a_delta_is_on_a_version_that_is_there() external {
        _publish(0);
        _refused(abi.encodeWithSelector(ICatalogue.BaseUnknown.selector, land, uint64(2)));
        VM.prank(provider);
        catalogue.publish(land, "root", 10, 2, 0);
    }

    function test_publications_are_numbered_from_one() external {
        VM.assertEq(_publish(0), 1, "first version");
        uint64 number = _emits(catalogue);
        emit ICatalogue.Published(land, 2, number, "root", 10, 1, "report");
        VM.assertEq(_publish(1), 2, "second version");

        ICatalogue.Publication memory second = catalogue.publicationOf(land, 2);
        VM.assertEq(second.root, "root", "root");
        VM.assertEq(second.count, 10, "count");
        VM.assertEq(second.base, 1, "base");
        VM.assertEq(second.publishedAt, START, "publishedAt");
        VM.assertEq(catalogue.datasetOf(land).publications, 2, "publications");
        _expectChained();
    }

    function testFuzz_a_publication_is_kept_as_it_came(bytes32 root, uint64 count) external {
        VM.assume(root != 0);
        count %= (1 << 40) + 1;
        VM.prank(provider);
        catalogue.publish(land, root, count, 0, 0);
        VM.assertEq(catalogue.publicationOf(land, 1).root, root, "root");
        VM.assertEq(catalogue.publicationOf(land, 1).count, count, "count");
    }

    function test_a_publication_counts_records_that_exist() external {
        _refused(abi.encodeWithSelector(ICatalogue.CountOutOfRange.selector, uint64(1 << 40) + 1));
        VM.prank(provider);
        catalogue.publish(land, "root", (1 << 40) + 1, 0, 0);
        _refused(abi.encodeWithSelector(ICatalogue.CountOutOfRange.selector, type(uint64).max));
        VM.prank(provider);
        catalogue.publish(land, "root", type(uint64).max, 0, 0);
    }

    function test_there_is_no_version_zero() external {
        _publish(0);
        _refused(abi.encodeWithSelector(ICatalogue.PublicationUnknown.selector, land, uint64(0)));
        catalogue.publicationOf(land, 0);
    }

    function test_there_is_no_version_after_the_last() external {
        _publish(0);
        _refused(abi.encodeWithSelector(ICatalogue.PublicationUnknown.selector, land, uint64(2)));
        catalogue.publicationOf(land, 2);
    }

    // erase

    function test_only_its_provider_erases_a_record() external {
        _publish(0);
        _refused(abi.encodeWithSelector(ICatalogue.NotProvider.selector, bank, land));
        VM.prank(bank);
        catalogue.erase(land, "record", 1);
    }

    function test_a_record_is_erased_from_a_publication() external {
        _refused(abi.encodeWithSelector(ICatalogue.PublicationUnknown.selector, land, uint64(1)));
        VM.prank(provider);
        catalogue.erase(land, "record", 1);
    }

    function test_an_erased_record_has_a_root() external {
        _publish(0);
        _refused(abi.encodeWithSelector(ICatalogue.EmptyRoot.selector));
        VM.prank(provider);
        catalogue.erase(land, 0, 1);
    }

    function test_an_erased_record_leaves_a_tombstone_also_after_the_dataset() external {
        _publish(0);
        _withdrawLand();
        uint64 number = _emits(catalogue);
        emit ICatalogue.RecordErased(land, "record", number, 1);
        VM.prank(provider);
        catalogue.erase(land, "record", 1);
        _expectChained();
    }

    function _refusesToRegister(ICatalogue.DatasetTerms memory terms, bytes memory reason) private {
        _refused(reason);
        VM.prank(provider);
        catalogue.registerDataset(terms);
    }

    function _withdrawLand() private {
        VM.prank(provider);
        catalogue.withdrawDataset(land, "closed");
    }

    function _publish(uint64 base) private returns (uint64) {
        VM.prank(provider);
        return catalogue.publish(land, "root", 10, base, "report");
    }
}
