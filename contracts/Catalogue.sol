// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICatalogue} from "./interfaces/ICatalogue.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {Fields} from "./libraries/Fields.sol";
import {Class, DatasetId, OrderId, Role} from "./libraries/Types.sol";

/// @notice See {ICatalogue}.
contract Catalogue is ICatalogue {
    struct Dataset {
        address provider;
        bool withdrawn;
        bool personal;
        uint16 fieldCount;
        Class sharing;
        Class open;
        uint8 grade;
        OrderId lastOrder;
    }

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
        _requireSchema(terms.fields);
        _requireClasses(terms.sharing, terms.grade, terms.personal);
        dataset = datasetId(msg.sender, terms.code);
        if (_datasets[dataset].provider != address(0)) revert DatasetExists(dataset);

        Dataset storage created = _datasets[dataset];
        created.provider = msg.sender;
        created.personal = terms.personal;
        created.fieldCount = uint16(terms.fields.length);
        created.sharing = terms.sharing;
        created.open = terms.open;
        created.grade = terms.grade;
        emit DatasetRegistered(dataset, msg.sender, terms);
    }

    /// @inheritdoc ICatalogue
    function reclassify(DatasetId dataset, Class sharing, Class open, uint8 grade, string calldata reason)
        external
        onlyProviderOf(dataset)
    {
        Dataset storage changed = _datasets[dataset];
        if (changed.withdrawn) revert DatasetAlreadyWithdrawn(dataset);
        if (bytes(reason).length == 0) revert EmptyReason();
        _requireClasses(sharing, grade, changed.personal);

        changed.sharing = sharing;
        changed.open = open;
        changed.grade = grade;
        emit DatasetReclassified(dataset, sharing, open, grade, reason);
    }

    /// @inheritdoc ICatalogue
    function withdrawDataset(DatasetId dataset, string calldata reason) external onlyProviderOf(dataset) {
        if (_datasets[dataset].withdrawn) revert DatasetAlreadyWithdrawn(dataset);
        if (bytes(reason).length == 0) revert EmptyReason();

        _datasets[dataset].withdrawn = true;
        emit DatasetWithdrawn(dataset, reason);
    }

    /// @inheritdoc ICatalogue
    function publish(DatasetId dataset, bytes32 root, uint64 count, uint64 base, bytes32 manifest)
        external
        onlyProviderOf(dataset)
        returns (uint64 version)
    {
        if (_datasets[dataset].withdrawn) revert DatasetAlreadyWithdrawn(dataset);
        if (root == 0) revert EmptyRoot();
        Publication[] storage versions = _publications[dataset];
        if (base > versions.length) revert BaseUnknown(dataset, base);

        versions.push(Publication({root: root, count: count, base: base, publishedAt: uint64(block.timestamp)}));
        version = uint64(versions.length);
        emit Published(dataset, version, root, count, base, manifest);
    }

    /// @inheritdoc ICatalogue
    /// @dev That the record was in the version is checked off chain: the chain does not know the records.
    function erase(DatasetId dataset, bytes32 item, uint64 version) external onlyProviderOf(dataset) {
        _requirePublication(dataset, version);
        if (item == 0) revert EmptyRoot();

        emit RecordErased(dataset, item, version);
    }

    /// @inheritdoc ICatalogue
    function issueOrder(OrderTerms calldata terms) external onlyAuthority returns (OrderId order) {
        Dataset storage opened = _existing(terms.dataset);
        if (opened.withdrawn) revert DatasetAlreadyWithdrawn(terms.dataset);
        _requirePeriod(terms.startsAt, terms.endsAt);
        if (bytes(terms.reason).length == 0) revert EmptyReason();
        if (!Fields.within(terms.fields, Fields.all(opened.fieldCount))) {
            revert FieldsOutsideSchema(terms.dataset, terms.fields);
        }
        _requireReviewed(opened.lastOrder);
        order = orderId(terms);
        if (_orders[order].endsAt != 0) revert OrderExists(order);

        opened.lastOrder = order;
        OrderState storage issued = _orders[order];
        issued.dataset = terms.dataset;
        issued.purpose = terms.purpose;
        issued.fields = terms.fields;
        issued.sharing = terms.sharing;
        issued.startsAt = terms.startsAt;
        issued.endsAt = terms.endsAt;
        emit OrderIssued(order, terms.dataset, terms);
    }

    /// @inheritdoc ICatalogue
    function endOrder(OrderId order, string calldata reason) external onlyAuthority {
        OrderState storage ended = _existingOrder(order);
        if (ended.endsAt <= block.timestamp) revert OrderOver(order);
        if (bytes(reason).length == 0) revert EmptyReason();

        ended.endsAt = uint64(block.timestamp);
        emit OrderEnded(order, ended.dataset, ended.endsAt, reason);
    }

    /// @inheritdoc ICatalogue
    function reviewOrder(OrderId order, string calldata findings) external {
        REGISTRY.requireActive(msg.sender, Role.Regulator);
        OrderState storage reviewed = _existingOrder(order);
        if (reviewed.endsAt > block.timestamp) revert OrderNotOver(order);
        if (reviewed.reviewed) revert OrderAlreadyReviewed(order);
        if (bytes(findings).length == 0) revert EmptyReason();

        reviewed.reviewed = true;
        emit OrderReviewed(order, reviewed.dataset, msg.sender, findings);
    }

    /// @inheritdoc ICatalogue
    function datasetOf(DatasetId dataset) external view returns (DatasetState memory state) {
        Dataset storage found = _datasets[dataset];
        state.provider = found.provider;
        state.active = found.provider != address(0) && !found.withdrawn;
        state.shared = state.active && found.sharing != Class.NotShared && !_closedByOrder(found.lastOrder);
        state.personal = found.personal;
        state.fieldCount = found.fieldCount;
        state.sharing = found.sharing;
        state.open = found.open;
        state.grade = found.grade;
        state.publications = uint64(_publications[dataset].length);
    }

    /// @inheritdoc ICatalogue
    function publicationOf(DatasetId dataset, uint64 version) external view returns (Publication memory) {
        _requirePublication(dataset, version);
        return _publications[dataset][version - 1];
    }

    /// @inheritdoc ICatalogue
    function orderOf(OrderId order) external view returns (OrderState memory state) {
        state = _orders[order];
        state.inForce = _inForce(order);
    }

    /// @inheritdoc ICatalogue
    function lastOrderOf(DatasetId dataset) external view returns (OrderId) {
        return _datasets[dataset].lastOrder;
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
        OrderState storage state = _orders[order];
        return state.startsAt <= block.timestamp && block.timestamp < state.endsAt;
    }

    function _closedByOrder(OrderId order) private view returns (bool) {
        return _orders[order].sharing == Class.NotShared && _inForce(order);
    }

    function _requireReviewed(OrderId last) private view {
        if (OrderId.unwrap(last) != 0 && !_orders[last].reviewed) revert OrderNotReviewed(last);
    }

    function _requirePublication(DatasetId dataset, uint64 version) private view {
        if (version == 0 || version > _publications[dataset].length) revert PublicationUnknown(dataset, version);
    }

    function _requirePeriod(uint64 startsAt, uint64 endsAt) private view {
        if (endsAt <= startsAt || endsAt <= block.timestamp) revert OrderPeriodInvalid(startsAt, endsAt);
    }

    function _requireSchema(string[] calldata fields) private pure {
        if (fields.length == 0 || fields.length > 256) revert FieldCountOutOfRange(fields.length);
        for (uint256 i = 0; i < fields.length; ++i) {
            if (bytes(fields[i]).length == 0) revert EmptyField(i);
        }
    }

    function _requireClasses(Class sharing, uint8 grade, bool personal) private pure {
        if (grade == 0 || grade > 4) revert GradeOutOfRange(grade);
        if (personal && sharing == Class.Unconditional) revert PersonalDataUnconditional();
    }
}
