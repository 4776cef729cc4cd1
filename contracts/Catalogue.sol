// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICatalogue} from "./interfaces/ICatalogue.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {Fields} from "./libraries/Fields.sol";
import {Texts} from "./libraries/Texts.sol";
import {Class, DatasetId, OrderId, PurposeId, Role} from "./libraries/Types.sol";
import {Numbered} from "./Numbered.sol";

/// @notice See {ICatalogue}.
contract Catalogue is ICatalogue, Numbered {
    struct Dataset {
        address provider;
        bool withdrawn;
        bool personal;
        uint16 fieldCount;
        Class sharing;
        Class open;
        uint8 grade;
        uint32 unreviewedClosings;
        OrderId lastOpening;
        OrderId lastClosing;
    }

    uint64 private constant LATEST_START = 1 days;
    uint64 private constant LONGEST_OPENING = 30 days;
    // More records than any department has, and few enough for every database's integers.
    uint64 private constant MOST_RECORDS = 1 << 40;

    bytes32 private constant DATASET_TAG = keccak256("Dataset(address provider,string code)");
    bytes32 private constant ORDER_TAG = keccak256(
        "Order(bytes32 dataset,bytes32 purpose,uint8 sharing,uint256 fields,uint64 startsAt,uint64 endsAt,string reason,bytes32 nonce)"
    );

    IRegistry public immutable REGISTRY;

    mapping(DatasetId dataset => Dataset) private _datasets;
    mapping(DatasetId dataset => Publication[] versions) private _publications;
    mapping(OrderId order => OrderState) private _orders;

    constructor(IRegistry registry) {
        REGISTRY = registry;
    }

    modifier onlyProviderOf(DatasetId dataset) {
        if (_existing(dataset).provider != msg.sender) revert NotProvider(msg.sender, dataset);
        REGISTRY.requireActive(msg.sender, Role.Provider);
        _;
    }

    modifier onlyAuthority() {
        if (REGISTRY.authority() != msg.sender) revert NotAuthority(msg.sender);
        _;
    }

    /// @inheritdoc ICatalogue
    function registerDataset(DatasetTerms calldata terms) external returns (DatasetId dataset) {
        REGISTRY.requireActive(msg.sender, Role.Provider);
        if (bytes(terms.code).length == 0) revert EmptyCode();
        Texts.requireWithin(bytes(terms.code).length, Texts.NAME);
        Texts.requireWithin(bytes(terms.title).length, Texts.NAME);
        _requireClasses(terms.sharing, terms.grade, terms.personal);
        dataset = datasetId(msg.sender, terms.code);
        if (_datasets[dataset].provider != address(0)) revert DatasetExists(dataset);
        _requireSchema(terms.fields);

        Dataset storage created = _datasets[dataset];
        created.provider = msg.sender;
        created.personal = terms.personal;
        created.fieldCount = uint16(terms.fields.length);
        created.sharing = terms.sharing;
        created.open = terms.open;
        created.grade = terms.grade;
        _emit(DatasetRegistered.selector, _topic(dataset), _topic(msg.sender), abi.encode(NUMBER, terms));
    }

    /// @inheritdoc ICatalogue
    function reclassify(DatasetId dataset, Class sharing, Class open, uint8 grade, string calldata reason)
        external
        onlyProviderOf(dataset)
    {
        Dataset storage changed = _datasets[dataset];
        if (changed.withdrawn) revert DatasetAlreadyWithdrawn(dataset);
        _requireReason(reason);
        _requireClasses(sharing, grade, changed.personal);

        changed.sharing = sharing;
        changed.open = open;
        changed.grade = grade;
        _emit(DatasetReclassified.selector, _topic(dataset), abi.encode(NUMBER, sharing, open, grade, reason));
    }

    /// @inheritdoc ICatalogue
    function withdrawDataset(DatasetId dataset, string calldata reason) external onlyProviderOf(dataset) {
        if (_datasets[dataset].withdrawn) revert DatasetAlreadyWithdrawn(dataset);
        _requireReason(reason);

        _datasets[dataset].withdrawn = true;
        _emit(DatasetWithdrawn.selector, _topic(dataset), abi.encode(NUMBER, reason));
    }

    /// @inheritdoc ICatalogue
    function publish(DatasetId dataset, bytes32 root, uint64 count, uint64 base, bytes32 manifest)
        external
        onlyProviderOf(dataset)
        returns (uint64 version)
    {
        if (_datasets[dataset].withdrawn) revert DatasetAlreadyWithdrawn(dataset);
        if (root == 0) revert EmptyRoot();
        if (count > MOST_RECORDS) revert CountOutOfRange(count);
        Publication[] storage versions = _publications[dataset];
        if (base > versions.length) revert BaseUnknown(dataset, base);

        versions.push(Publication({root: root, count: count, base: base, publishedAt: uint64(block.timestamp)}));
        version = uint64(versions.length);
        _emit(
            Published.selector,
            _topic(dataset),
            bytes32(uint256(version)),
            abi.encode(NUMBER, root, count, base, manifest)
        );
    }

    /// @inheritdoc ICatalogue
    /// @dev That the record was in the version is checked off chain: the chain does not know the records.
    function erase(DatasetId dataset, bytes32 item, uint64 version) external onlyProviderOf(dataset) {
        _requirePublication(dataset, version);
        if (item == 0) revert EmptyRoot();

        _emit(RecordErased.selector, _topic(dataset), item, abi.encode(NUMBER, version));
    }

    /// @inheritdoc ICatalogue
    function issueOrder(OrderTerms calldata terms) external onlyAuthority returns (OrderId order) {
        Dataset storage dataset = _existing(terms.dataset);
        if (dataset.withdrawn) revert DatasetAlreadyWithdrawn(terms.dataset);
        _requireReason(terms.reason);
        if (!Fields.within(terms.fields, Fields.all(dataset.fieldCount))) {
            revert FieldsOutsideSchema(terms.dataset, terms.fields);
        }
        if (terms.startsAt > block.timestamp + LATEST_START || terms.endsAt <= terms.startsAt || _isOver(terms.endsAt))
        {
            revert OrderPeriodInvalid(terms.startsAt, terms.endsAt);
        }
        if (terms.sharing == Class.NotShared) _requireClosable(dataset, terms);
        else _requireOpenable(dataset, terms);
        order = orderId(terms);
        if (_orders[order].endsAt != 0) revert OrderExists(order);

        OrderState storage issued = _orders[order];
        issued.dataset = terms.dataset;
        issued.purpose = terms.purpose;
        issued.fields = terms.fields;
        issued.sharing = terms.sharing;
        issued.startsAt = terms.startsAt;
        issued.endsAt = terms.endsAt;
        if (terms.sharing == Class.NotShared) {
            dataset.lastClosing = order;
            ++dataset.unreviewedClosings;
        }
        _emit(OrderIssued.selector, _topic(order), _topic(terms.dataset), abi.encode(NUMBER, terms));
    }

    /// @inheritdoc ICatalogue
    function countersignOrder(OrderId order) external {
        REGISTRY.requireActive(msg.sender, Role.Regulator);
        OrderState storage signed = _existingOrder(order);
        if (signed.sharing == Class.NotShared) revert OrderNeedsNone(order);
        if (signed.countersigned) revert OrderAlreadyCountersigned(order);
        if (_isOver(signed.endsAt)) revert OrderOver(order);
        Dataset storage dataset = _datasets[signed.dataset];
        _requireReviewed(signed.dataset, dataset);

        signed.countersigned = true;
        dataset.lastOpening = order;
        _emit(
            OrderCountersigned.selector, _topic(order), _topic(signed.dataset), _topic(msg.sender), abi.encode(NUMBER)
        );
    }

    /// @inheritdoc ICatalogue
    function endOrder(OrderId order, string calldata reason) external {
        OrderState storage ended = _existingOrder(order);
        if (!_mayEnd(ended)) revert NotEnder(msg.sender, order);
        if (_isOver(ended.endsAt)) revert OrderOver(order);
        _requireReason(reason);

        ended.endsAt = uint64(block.timestamp);
        if (ended.sharing == Class.NotShared && !_wasInForce(ended)) --_datasets[ended.dataset].unreviewedClosings;
        _emit(
            OrderEnded.selector,
            _topic(order),
            _topic(ended.dataset),
            _topic(msg.sender),
            abi.encode(NUMBER, ended.endsAt, reason)
        );
    }

    /// @inheritdoc ICatalogue
    function reviewOrder(OrderId order, string calldata findings) external {
        REGISTRY.requireActive(msg.sender, Role.Regulator);
        OrderState storage reviewed = _existingOrder(order);
        if (!_isOver(reviewed.endsAt)) revert OrderNotOver(order);
        if (!_wasInForce(reviewed)) revert OrderNeedsNone(order);
        if (reviewed.reviewed) revert OrderAlreadyReviewed(order);
        _requireReason(findings);

        reviewed.reviewed = true;
        if (reviewed.sharing == Class.NotShared) --_datasets[reviewed.dataset].unreviewedClosings;
        _emit(
            OrderReviewed.selector,
            _topic(order),
            _topic(reviewed.dataset),
            _topic(msg.sender),
            abi.encode(NUMBER, findings)
        );
    }

    /// @inheritdoc ICatalogue
    function datasetOf(DatasetId dataset) external view returns (DatasetState memory state_) {
        Dataset storage found = _datasets[dataset];
        state_.provider = found.provider;
        state_.active = found.provider != address(0) && !found.withdrawn;
        state_.shared = state_.active && found.sharing != Class.NotShared && !_inForce(found.lastClosing);
        state_.personal = found.personal;
        state_.fieldCount = found.fieldCount;
        state_.sharing = found.sharing;
        state_.open = found.open;
        state_.grade = found.grade;
        state_.publications = uint64(_publications[dataset].length);
    }

    /// @inheritdoc ICatalogue
    function publicationOf(DatasetId dataset, uint64 version) external view returns (Publication memory) {
        _requirePublication(dataset, version);
        return _publications[dataset][version - 1];
    }

    /// @inheritdoc ICatalogue
    function orderOf(OrderId order) external view returns (OrderState memory state_) {
        state_ = _orders[order];
        state_.inForce = _inForce(order);
    }

    /// @inheritdoc ICatalogue
    function lastOrdersOf(DatasetId dataset)
        external
        view
        returns (OrderId opening, OrderId closing, uint32 unreviewedClosings)
    {
        Dataset storage found = _datasets[dataset];
        return (found.lastOpening, found.lastClosing, found.unreviewedClosings);
    }

    /// @inheritdoc ICatalogue
    function closedByOrder(DatasetId dataset) external view returns (bool) {
        return _inForce(_datasets[dataset].lastClosing);
    }

    /// @inheritdoc ICatalogue
    function datasetId(address provider, string calldata code) public pure returns (DatasetId) {
        return DatasetId.wrap(keccak256(abi.encode(DATASET_TAG, provider, keccak256(bytes(code)))));
    }

    /// @inheritdoc ICatalogue
    function orderId(OrderTerms calldata terms) public pure returns (OrderId) {
        return OrderId.wrap(
            keccak256(
                abi.encode(
                    ORDER_TAG,
                    terms.dataset,
                    terms.purpose,
                    terms.sharing,
                    terms.fields,
                    terms.startsAt,
                    terms.endsAt,
                    keccak256(bytes(terms.reason)),
                    terms.nonce
                )
            )
        );
    }

    function _existing(DatasetId dataset) private view returns (Dataset storage found) {
        found = _datasets[dataset];
        if (found.provider == address(0)) revert DatasetUnknown(dataset);
    }

    function _existingOrder(OrderId order) private view returns (OrderState storage found) {
        found = _orders[order];
        if (found.endsAt == 0) revert OrderUnknown(order);
    }

    function _inForce(OrderId order) private view returns (bool) {
        OrderState storage state_ = _orders[order];
        bool effective = state_.countersigned || state_.sharing == Class.NotShared;
        return effective && state_.startsAt <= block.timestamp && !_isOver(state_.endsAt);
    }

    /// @dev Whether an order that is over ever counted: one that nobody countersigned, or that ended before its start, did not.
    function _wasInForce(OrderState storage order) private view returns (bool) {
        return (order.countersigned || order.sharing == Class.NotShared) && order.startsAt <= order.endsAt;
    }

    function _isOver(uint64 endsAt) private view returns (bool) {
        return endsAt <= block.timestamp;
    }

    function _mayEnd(OrderState storage order) private view returns (bool) {
        if (msg.sender == REGISTRY.authority() || REGISTRY.isActive(msg.sender, Role.Regulator)) return true;
        // A provider must not re-open its own leak.
        return order.sharing != Class.NotShared && msg.sender == _datasets[order.dataset].provider;
    }

    /// @dev A leak at night waits for nobody: only another order that closes already stands in the way.
    function _requireClosable(Dataset storage dataset, OrderTerms calldata terms) private view {
        if (!_isOver(_orders[dataset.lastClosing].endsAt)) revert OrderInForce(dataset.lastClosing);
        if (terms.endsAt > type(uint40).max) revert OrderPeriodInvalid(terms.startsAt, terms.endsAt);
    }

    function _requireOpenable(Dataset storage dataset, OrderTerms calldata terms) private view {
        // From now on, not from a start in the past.
        uint256 from = terms.startsAt > block.timestamp ? terms.startsAt : block.timestamp;
        if (terms.endsAt > from + LONGEST_OPENING) revert OrderPeriodInvalid(terms.startsAt, terms.endsAt);
        if (PurposeId.unwrap(terms.purpose) == 0) revert OrderWithoutPurpose();
        if (dataset.personal && terms.sharing == Class.Unconditional) revert OrderTooWide(terms.dataset);
        _requireReviewed(terms.dataset, dataset);
    }

    /// @dev Of those that open only the last can be unreviewed, since a countersignature waits for it. One that closes waits for nobody, so
    /// these are counted: naming the last alone, a new one would hide those before it.
    function _requireReviewed(DatasetId id, Dataset storage dataset) private view {
        OrderState storage opening = _orders[dataset.lastOpening];
        if (_wasInForce(opening) && !opening.reviewed) revert OrderNotReviewed(dataset.lastOpening);
        if (dataset.unreviewedClosings != 0) revert ClosingsNotReviewed(id, dataset.unreviewedClosings);
    }

    function _requirePublication(DatasetId dataset, uint64 version) private view {
        if (version == 0 || version > _publications[dataset].length) revert PublicationUnknown(dataset, version);
    }

    /// @dev Equal names would make a statement that says less than it opens.
    function _requireSchema(string[] calldata fields) private pure {
        if (fields.length == 0 || fields.length > 256) revert FieldCountOutOfRange(fields.length);
        bytes32[] memory hashes = new bytes32[](fields.length);
        for (uint256 i = 0; i < fields.length; ++i) {
            if (bytes(fields[i]).length == 0) revert EmptyField(i);
            Texts.requireWithin(bytes(fields[i]).length, Texts.NAME);
            hashes[i] = keccak256(bytes(fields[i]));
            if (_repeats(hashes, i)) revert FieldRepeated(i);
        }
    }

    /// @dev Whether one of the hashes before the last is the same. In assembly, because of 256 fields each is held against all before it.
    function _repeats(bytes32[] memory hashes, uint256 last) private pure returns (bool repeated) {
        assembly ("memory-safe") {
            let first := add(hashes, 0x20)
            let end := add(first, mul(last, 0x20))
            let hash := mload(end)
            for { let place := first } lt(place, end) { place := add(place, 0x20) } {
                if eq(mload(place), hash) {
                    repeated := 1
                    break
                }
            }
        }
    }

    function _requireReason(string calldata reason) private pure {
        if (bytes(reason).length == 0) revert EmptyReason();
        Texts.requireWithin(bytes(reason).length, Texts.PROSE);
    }

    function _topic(DatasetId dataset) private pure returns (bytes32) {
        return DatasetId.unwrap(dataset);
    }

    function _topic(OrderId order) private pure returns (bytes32) {
        return OrderId.unwrap(order);
    }

    function _requireClasses(Class sharing, uint8 grade, bool personal) private pure {
        if (grade == 0 || grade > 4) revert GradeOutOfRange(grade);
        if (personal && sharing == Class.Unconditional) revert PersonalDataUnconditional();
    }
}
