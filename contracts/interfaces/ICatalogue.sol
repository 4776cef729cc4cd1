// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Class, DatasetId, OrderId, PurposeId} from "../libraries/Types.sol";
import {INumbered} from "./INumbered.sol";

/// @title What? Datasets, their publications, and emergency orders.
/// @notice A provider registers a dataset and publishes versions of it as a count and a Merkle root: no record, and nothing
/// that a record could be guessed from, is ever on chain. The authority may re-classify a dataset for a time by an
/// emergency order. One that closes the dataset is in force at once. One that opens it names a purpose and an end, is in force only once a
/// regulator countersigned it, and must be reviewed by a regulator before the next one can be issued for that dataset.
interface ICatalogue is INumbered {
    /// @param code Short name, unique for the provider.
    /// @param title Title for people, any language.
    /// @param fields Names of the fields, in the order of the field bitmap; 1 to 256.
    /// @param grade 1 general to 4 core.
    /// @param personal About people or enterprises, so that only an authorization opens it.
    /// @param updateCycle Seconds between publications that the provider promises; zero for never.
    struct DatasetTerms {
        string code;
        string title;
        string[] fields;
        Class sharing;
        Class open;
        uint8 grade;
        bool personal;
        uint32 updateCycle;
    }

    /// @param active Registered and not withdrawn.
    /// @param shared Active, and neither its own class nor an order in force is NotShared. An order that opens a dataset does
    /// not show here: it opens it only for accesses whose basis is the order.
    struct DatasetState {
        address provider;
        bool active;
        bool shared;
        bool personal;
        uint16 fieldCount;
        Class sharing;
        Class open;
        uint8 grade;
        uint64 publications;
    }

    struct Publication {
        bytes32 root;
        uint64 count;
        uint64 base;
        uint64 publishedAt;
    }

    /// @param purpose Purpose of the emergency; consumers need an agreement for it when `sharing` is Conditional.
    /// @param sharing Class while the order is in force: NotShared closes the dataset.
    /// @param fields Fields that the order opens.
    struct OrderTerms {
        DatasetId dataset;
        PurposeId purpose;
        Class sharing;
        uint256 fields;
        uint64 startsAt;
        uint64 endsAt;
        string reason;
        bytes32 nonce;
    }

    /// @param countersigned By a regulator; an order that closes needs none.
    /// @param inForce Whether it counts now: countersigned or closing, started and not ended.
    struct OrderState {
        DatasetId dataset;
        PurposeId purpose;
        uint256 fields;
        Class sharing;
        uint64 startsAt;
        uint64 endsAt;
        bool countersigned;
        bool reviewed;
        bool inForce;
    }

    event DatasetRegistered(DatasetId indexed dataset, address indexed provider, uint64 number, DatasetTerms terms);
    event DatasetReclassified(
        DatasetId indexed dataset, uint64 number, Class sharing, Class open, uint8 grade, string reason
    );
    event DatasetWithdrawn(DatasetId indexed dataset, uint64 number, string reason);
    event Published(
        DatasetId indexed dataset,
        uint64 indexed version,
        uint64 number,
        bytes32 root,
        uint64 count,
        uint64 base,
        bytes32 manifest
    );
    event RecordErased(DatasetId indexed dataset, bytes32 indexed item, uint64 number, uint64 version);
    event OrderIssued(OrderId indexed order, DatasetId indexed dataset, uint64 number, OrderTerms terms);
    event OrderCountersigned(
        OrderId indexed order, DatasetId indexed dataset, address indexed regulator, uint64 number
    );
    event OrderEnded(
        OrderId indexed order,
        DatasetId indexed dataset,
        address indexed by,
        uint64 number,
        uint64 endsAt,
        string reason
    );
    event OrderReviewed(
        OrderId indexed order, DatasetId indexed dataset, address indexed regulator, uint64 number, string findings
    );

    error NotAuthority(address caller);
    error NotProvider(address caller, DatasetId dataset);
    error EmptyCode();
    error EmptyReason();
    error FieldCountOutOfRange(uint256 count);
    error EmptyField(uint256 index);
    error FieldRepeated(uint256 index);
    error GradeOutOfRange(uint8 grade);
    error PersonalDataUnconditional();
    error DatasetExists(DatasetId dataset);
    error DatasetUnknown(DatasetId dataset);
    error DatasetAlreadyWithdrawn(DatasetId dataset);
    error EmptyRoot();
    error CountOutOfRange(uint64 count);
    error BaseUnknown(DatasetId dataset, uint64 base);
    error PublicationUnknown(DatasetId dataset, uint64 version);
    error FieldsOutsideSchema(DatasetId dataset, uint256 fields);
    error OrderPeriodInvalid(uint64 startsAt, uint64 endsAt);
    /// @dev Personal data are never opened to everybody.
    error OrderTooWide(DatasetId dataset);
    error OrderWithoutPurpose();
    error OrderNotReviewed(OrderId order);
    error ClosingsNotReviewed(DatasetId dataset, uint32 count);
    error OrderInForce(OrderId order);
    error OrderExists(OrderId order);
    error OrderUnknown(OrderId order);
    error OrderOver(OrderId order);
    error OrderNotOver(OrderId order);
    error OrderAlreadyReviewed(OrderId order);
    error OrderAlreadyCountersigned(OrderId order);
    error OrderNeedsNone(OrderId order);
    error NotEnder(address caller, OrderId order);

    /// @notice Registers the caller's dataset. The schema and the personal flag never change: another schema is another dataset.
    function registerDataset(DatasetTerms calldata terms) external returns (DatasetId);

    /// @notice Changes the classes and the grade, with a reason.
    function reclassify(DatasetId dataset, Class sharing, Class open, uint8 grade, string calldata reason) external;

    /// @notice Withdraws a dataset for good. Its history stays.
    function withdrawDataset(DatasetId dataset, string calldata reason) external;

    /// @notice Publishes the next version. Costs the same for any number of records.
    /// @param root Merkle root of the whole version, also of a delta (docs/spec/records.md).
    /// @param count Number of records in the whole version.
    /// @param base Version that the upload changes, or zero when it carries all records.
    /// @param manifest SHA-256 of the provider's quality report, or zero.
    function publish(DatasetId dataset, bytes32 root, uint64 count, uint64 base, bytes32 manifest)
        external
        returns (uint64 version);

    /// @notice The tombstone of a record whose salt and ciphertext were destroyed.
    /// @param item Root of the record.
    /// @param version A publication that contained it.
    function erase(DatasetId dataset, bytes32 item, uint64 version) external;

    /// @notice Re-classifies a dataset for a time: begins within a day, and lasts at most 30 days when it opens. Opening is refused while an
    /// order of the dataset of either kind that is or was in force was not reviewed, closing while another closing order is in force.
    function issueOrder(OrderTerms calldata terms) external returns (OrderId);

    /// @notice Puts an order that opens in force. A regulator, before the order's end.
    function countersignOrder(OrderId order) external;

    /// @notice Ends an order before its time: the authority or a regulator any, the dataset's provider one that opens.
    function endOrder(OrderId order, string calldata reason) external;

    /// @notice A regulator's review of an order that is over and was in force.
    function reviewOrder(OrderId order, string calldata findings) external;

    function datasetOf(DatasetId dataset) external view returns (DatasetState memory);

    function publicationOf(DatasetId dataset, uint64 version) external view returns (Publication memory);

    function orderOf(OrderId order) external view returns (OrderState memory);

    /// @notice The dataset's last order that was countersigned, and its last one that closes; zero for none. And how many that close no
    /// regulator reviewed, but for those that ended before their start.
    function lastOrdersOf(DatasetId dataset)
        external
        view
        returns (OrderId opening, OrderId closing, uint32 unreviewedClosings);

    /// @notice Whether an order in force closes the dataset.
    function closedByOrder(DatasetId dataset) external view returns (bool);

    function datasetId(address provider, string calldata code) external view returns (DatasetId);

    function orderId(OrderTerms calldata terms) external view returns (OrderId);
}
